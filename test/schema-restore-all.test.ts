import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { contentOf, settingsOf } from './services/equality.ts';
import { dyingAt, nothingRuns, type Moment } from './services/moments.ts';
import { pgsilo, startPgsilo, type CallOptions, type Ended } from './services/pgsilo.ts';
import {
  createSchemaTenants,
  databaseText,
  entriesOf,
  writeSchemaPipeline,
} from './services/schema-tenants.ts';
import { scratchFolder } from './services/scratch-folder.ts';
import { startServer, type TestServer } from './services/server.ts';

const tenants = ['acme', 'a.b"c', '*', 'q?x', 'select', 'two\nlines', `it's`];
const [acme, second] = ['acme', pg.escapeIdentifier('a.b"c')];

/** What crosses tenants, in a circle too, and what belongs to none: found nowhere but in a restore of all of them. */
const crossing = `
CREATE SCHEMA reports;
INSERT INTO central.tenants VALUES ('ghost', 'free');
ALTER TABLE ${acme}.invoice ADD COLUMN partner bigint, ADD CONSTRAINT partner_there FOREIGN KEY (partner) REFERENCES ${second}.customer;
COMMENT ON CONSTRAINT partner_there ON ${acme}.invoice IS 'of another tenant';
UPDATE ${acme}.invoice SET partner = id WHERE id < 50;
CREATE VIEW ${second}.partners AS SELECT partner, count(*) AS n FROM ${acme}.invoice GROUP BY 1;
COMMENT ON VIEW ${second}.partners IS 'looks at another tenant';
GRANT SELECT ON ${second}.partners TO "app user";
ALTER TABLE ${acme}.invoice ADD COLUMN rate int DEFAULT 1 REFERENCES central.rate;
ALTER TABLE ${second}.invoice ADD COLUMN rate int DEFAULT 1 REFERENCES central.rate;
CREATE TYPE "select".level AS ENUM ('low', 'high');
CREATE TABLE "it's".rated (id int PRIMARY KEY, level "select".level);
INSERT INTO "it's".rated VALUES (1, 'high');
CREATE TYPE "it's".mark AS (n int, m int);
CREATE TABLE "select".marked (id serial PRIMARY KEY, mark "it's".mark, level "select".level);
INSERT INTO "select".marked (mark, level) SELECT ROW(n, 1)::"it's".mark, 'low' FROM generate_series(1, 12) n;
CREATE DOMAIN reports.step AS "select".level;
CREATE TABLE "*".steps (at reports.step);
INSERT INTO "*".steps VALUES ('high'), ('low');
CREATE TABLE "it's".parted (id int PRIMARY KEY, of text) PARTITION BY RANGE (id);
CREATE INDEX parted_of ON "it's".parted (of);
CREATE TABLE "q?x".part PARTITION OF "it's".parted FOR VALUES FROM (0) TO (100);
CREATE TABLE reports.part PARTITION OF "it's".parted FOR VALUES FROM (100) TO (200);
INSERT INTO "it's".parted SELECT n, 'x' || n FROM generate_series(1, 150) n;
CREATE FUNCTION "it's".alter_it() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.of := NEW.of || '!'; RETURN NEW; END $f$;
CREATE TRIGGER alter_it BEFORE INSERT ON "it's".parted FOR EACH ROW EXECUTE FUNCTION "it's".alter_it();
CREATE VIEW central.all_rated AS SELECT id, level FROM "it's".rated;
CREATE EXTENSION citext SCHEMA public;
ALTER TABLE "*".invoice ADD COLUMN note public.citext;
CREATE TABLE reports.kept (id serial PRIMARY KEY, what text);
INSERT INTO reports.kept (what) SELECT 'x' || n FROM generate_series(1, 20) n;
CREATE TABLE reports.levels (id serial PRIMARY KEY, level "select".level NOT NULL, nth int GENERATED ALWAYS AS IDENTITY, CHECK (level >= 'low'));
INSERT INTO reports.levels (level) SELECT 'high' FROM generate_series(1, 30);
CREATE INDEX by_level ON reports.levels (level);
COMMENT ON COLUMN reports.levels.level IS 'of a tenant''s type';
GRANT SELECT ON reports.levels TO "app user";
CREATE VIEW ${acme}.levels AS SELECT * FROM reports.levels;
CREATE MATERIALIZED VIEW reports.sums AS SELECT count(*) AS n FROM ${acme}.invoice;
CREATE FUNCTION reports.seen() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO reports.kept (what) VALUES (tg_tag); END $f$;
CREATE PUBLICATION changes FOR TABLE ${acme}.invoice, central.rate;
ALTER DATABASE app SET search_path = central, public;
ALTER DATABASE app SET default_transaction_read_only = on;
ALTER ROLE app_owner IN DATABASE app SET work_mem = '5MB';
COMMENT ON DATABASE app IS 'all tenants';
REVOKE CONNECT ON DATABASE app FROM PUBLIC;
GRANT CONNECT ON DATABASE app TO "app user";
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION reports.seen();
`;

interface Line {
  readonly unit: string;
  readonly status: string;
  readonly error?: { readonly code: string; readonly message: string };
}

describe('restoring a database of schemas into another server', { timeout: 180_000 }, () => {
  let lost: TestServer;
  let fresh: TestServer;
  let at: CallOptions;
  let file: string;
  let wanted: { readonly text: string[]; readonly content: string[]; readonly settings: object };

  beforeAll(async () => {
    [lost, fresh] = await Promise.all([startServer(), startServer()]);
    at = { cwd: lost.folder, env: { SCHEMAS_URL: lost.url, NEW: fresh.url } };
    await createSchemaTenants(lost, tenants, 50);
    await lost.query('app', crossing);
    file = writeSchemaPipeline(lost, '  uncovered: ignore');
    const { exit, all } = await pgsilo(['backup', file], at);
    if (exit !== 1 || !/1 failed/.test(all)) throw new Error(all);
    wanted = await stateOf(lost);
  }, 180_000);
  afterAll(async () => {
    await Promise.all([lost?.stop(), fresh?.stop()]);
  });
  beforeEach(async () => {
    await fresh.query('postgres', 'DROP DATABASE IF EXISTS app WITH (FORCE)');
    for (const role of ['app_owner', '"app user"'])
      await fresh.query('postgres', `DROP ROLE IF EXISTS ${role}; CREATE ROLE ${role}`);
  });

  const stateOf = async (server: TestServer): Promise<typeof wanted> => ({
    text: entriesOf(await databaseText(server, 'app')).map((entry) => entry.replace(/^-- Dumped .*$/gm, '')),
    content: await contentOf(server, 'app'),
    settings: await settingsOf(server, 'app'),
  });
  const schemasOf = async (server: TestServer): Promise<string[]> => {
    if (!(await server.databases()).includes('app')) return [];
    const rows = await server.query('app', 'SELECT nspname FROM pg_namespace');
    const names = new Set(rows.map((row) => row['nspname'] as string));
    return ['central', ...tenants].filter((name) => names.has(name));
  };
  const restoreAll = (...more: string[]): Promise<Ended> =>
    pgsilo(['restore', file, '--all', '--to-server', 'env:NEW', '--json', ...more], at);
  const statuses = (ended: Ended): Record<string, string> =>
    Object.fromEntries(ended.json()['units'].map(({ unit, status }: Line) => [unit, status]));
  const lineOf = (ended: Ended, unit: string): Line =>
    ended.json()['units'].find((line: Line) => line.unit === unit);
  const all = (status: string, but: Record<string, string> = {}): Record<string, string> => ({
    ...Object.fromEntries(['@database', 'central', ...tenants].map((unit) => [unit, status])),
    ghost: 'missing',
    ...but,
  });

  // Each call goes on where the one before was killed.
  it('brings all of it back, text for text, with what crosses tenants, killed as often as it may be', async () => {
    const moments: readonly Moment[] = [
      { does: 'sends', what: 'ALTER DATABASE .* RENAME TO', when: 'before' },
      { does: 'sends', what: 'pg_current_xact_id', nth: 4, when: 'after' },
      { does: 'sends', what: 'COMMENT ON SCHEMA .* IS NULL', when: 'after' },
      { does: 'sends', what: 'ALTER DATABASE .* OWNER TO', when: 'after' },
    ];
    const parameters = ['restore', file, '--all', '--to-server', 'env:NEW'];
    const were: string[][] = [];
    for (const moment of moments) {
      const run = startPgsilo(parameters, { ...at, env: { ...at.env, ...dyingAt(moment) } });
      expect((await run.result).exit).toBeUndefined();
      await nothingRuns(fresh);
      were.push(await schemasOf(fresh));
    }
    const units = tenants.length + 1;
    expect(were.map((schemas) => schemas.length)).toEqual([0, expect.any(Number), units, units]);
    expect(were[1]!.length).toBeGreaterThan(0);
    expect(were[1]!.length).toBeLessThan(units);
    // Until it has its settings nobody else is let in.
    const [row] = await fresh.query(
      'postgres',
      `SELECT has_database_privilege('app user', 'app', 'CONNECT') AS may, shobj_description(oid, 'pg_database') AS says FROM pg_database WHERE datname = 'app'`,
    );
    expect(row).toEqual({ may: false, says: expect.stringContaining('this restore is not finished') });
    const ended = await restoreAll();
    expect([statuses(ended), ended.exit]).toEqual([all('present'), 1]);
    expect(ended.json()).toMatchObject({ status: 'partial', warnings: [] });
    expect(await stateOf(fresh)).toEqual(wanted);
    expect(await fresh.databases()).toEqual(['app', 'postgres']);
  });

  it('brings a tenant back without what needs one that has no backup, names it, and makes it when that one is there', async () => {
    const folder = join(lost.folder, 'store/schemas/units');
    const hidden = readdirSync(folder).find((name) => name.startsWith('a') && name !== 'acme')!;
    renameSync(join(folder, hidden), join(lost.folder, 'hidden'));
    const ended = await restoreAll();
    renameSync(join(lost.folder, 'hidden'), join(folder, hidden));
    expect([statuses(ended), ended.exit]).toEqual([
      all('restored', { 'a.b"c': 'missing', acme: 'failed' }),
      1,
    ]);
    expect(lineOf(ended, 'acme').error?.message).toMatch(
      /^"acme" is there, but this could not be made:\n- FK CONSTRAINT acme\."invoice partner_there": schema "a\.b\\?"c" does not exist/,
    );
    const before = (await contentOf(fresh, 'app')).filter((line) => line.startsWith('"acme"'));
    expect(before).toEqual(wanted.content.filter((line) => line.startsWith('"acme"')));

    // Others went on meanwhile: what was changed is left alone and named, what was dropped comes back.
    await fresh.query(
      'app',
      'BEGIN READ WRITE; DROP EVENT TRIGGER watch; DELETE FROM "q?x".event; DROP SCHEMA "two\nlines" CASCADE; COMMIT',
    );
    const again = await restoreAll();
    expect(statuses(again)).toEqual(
      all('present', { 'a.b"c': 'restored', 'two\nlines': 'restored', 'q?x': 'failed' }),
    );
    expect(lineOf(again, 'q?x').error).toMatchObject({ code: 'restore.target-exists' });
    const left = (name: string) => (entry: string) => !entry.includes('q?x') && !entry.includes(name);
    expect((await stateOf(fresh)).text.filter(left('EVENT TRIGGER'))).toEqual(
      wanted.text.filter(left('EVENT TRIGGER')),
    );
  });

  it('warns of roles that the server lacks before it begins, and names each unit that needs them', async () => {
    await fresh.query('postgres', 'DROP ROLE "app user"');
    const ended = await restoreAll();
    expect(ended).toMatchObject({ exit: 3 });
    expect(ended.json()['warnings']).toEqual([
      expect.stringMatching(/^the server lacks roles that the backups need, .*: "app user"\. Create/),
    ]);
    expect(lineOf(ended, '@database').error).toMatchObject({ code: 'restore.roles-missing' });
    expect(await fresh.databases()).toEqual(['postgres']);
  });

  it('brings the roles first where they are backed up too, and is drilled with them', async () => {
    const scratch = scratchFolder();
    const whole = writeSchemaPipeline(
      lost,
      '  uncovered: ignore\n  globals: true',
      undefined,
      'scratch: ${env:SCRATCH}',
    );
    const text = readFileSync(join(lost.folder, whole), 'utf8');
    writeFileSync(join(lost.folder, 'whole.yaml'), text.replace('pipeline: schemas', 'pipeline: whole'));
    const here = { ...at, env: { ...at.env, SCRATCH: scratch.path } };
    await pgsilo(['backup', 'whole.yaml'], here);
    await fresh.query('postgres', 'DROP ROLE app_owner; DROP ROLE "app user"');
    const ended = await pgsilo(['restore', 'whole.yaml', '--all', '--to-server', 'env:NEW', '--json'], here);
    expect(statuses(ended)).toEqual({ ...all('restored'), '@globals': 'restored' });
    expect(ended.json()['warnings']).toEqual([]);
    expect(await stateOf(fresh)).toEqual(wanted);
    const drilled = (await pgsilo(['drill', 'whole.yaml', '--json'], here)).json<{ units: Line[] }>();
    const found = Object.fromEntries(
      drilled.units.map((unit) => [unit.unit, unit.error?.code ?? unit.status]),
    );
    expect(found).toEqual({ ...all('ok', { ghost: 'catalog.not-found' }), '@globals': 'ok' });
    await scratch.mustBeEmpty();
    scratch.remove();
  });

  it('is drilled as it is restored, each unit compared with its archive', async () => {
    const scratch = scratchFolder();
    const drill = async (): Promise<{ units: Line[]; status: string }> =>
      (await pgsilo(['drill', file, '--json'], { ...at, env: { ...at.env, SCRATCH: scratch.path } })).json();
    const checks = '[{ name: invoices, sql: SELECT count(*) >= 50 FROM invoice, units: [acme, "q?x"] }]';
    file = writeSchemaPipeline(
      lost,
      '  uncovered: ignore',
      undefined,
      `scratch: \${env:SCRATCH}\nchecks: ${checks}`,
    );
    const { units, status } = await drill();
    expect(Object.fromEntries(units.map((unit) => [unit.unit, unit.error?.code ?? unit.status]))).toEqual(
      all('ok', { ghost: 'catalog.not-found' }),
    );
    expect(status).toBe('failed');
    await scratch.mustBeEmpty();
    scratch.remove();
  });
});
