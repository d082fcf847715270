import { dyingAt, nothingRuns, type Moment } from './services/moments.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions } from './services/pgsilo.ts';
import { availablePostgres, installPostgres } from './services/postgres.ts';
import {
  createSchemaTenants,
  databaseText,
  entriesOf,
  schemaTenants,
  schemaText,
  writeSchemaPipeline,
} from './services/schema-tenants.ts';
import { startServer, type TestServer } from './services/server.ts';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// Installed while the tests are collected: which there are depends on it.
const system = (await availablePostgres())[0]!;
const wanted = [system, await installPostgres(17), await installPostgres(18)];
const versions = wanted.filter(({ major }, index) => index === 0 || major !== system.major);

describe.each(versions)('PostgreSQL $major', (programs) => {
  describe.skipIf('unavailable' in programs)('a schema in place of the live one', () => {
    let server: TestServer;
    let at: CallOptions;
    let file: string;
    // All names on one version; the others differ in what pg_restore writes.
    const names = programs === system ? schemaTenants : schemaTenants.slice(0, 3);
    beforeAll(async () => {
      server = await startServer('bin' in programs ? { bin: programs.bin } : {});
      at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
      file = writeSchemaPipeline(server);
      await createSchemaTenants(server, names);
      await pgsiloOk(['backup', file], at);
    });
    afterAll(() => server?.stop());

    // Beside the others, which only have to stay as they are: those that SQL, patterns or lines of a list may misread.
    const hostile = ['acme', 'a.b"c', '*', 'two\nlines', `it's`, names.at(-1)!];
    it.each(programs === system ? hostile : names.slice(-1))(
      'is as it was backed up when it is called %j, and nothing else of the database has changed by a byte',
      { timeout: 120_000 },
      async (name) => {
        const before = entriesOf(await databaseText(server, 'app'));
        const backedUp = await schemaText(server, 'app', name);
        const s = pg.escapeIdentifier(name);
        await server.query(
          'app',
          `DELETE FROM ${s}.invoice WHERE id % 3 = 0; DROP FUNCTION ${s}.touch CASCADE; CREATE TABLE ${s}.later (n int)`,
        );
        const damaged = await schemaText(server, 'app', name);
        const report = (await pgsiloOk(['restore', file, name, '--replace', '--yes', '--json'], at)).json();
        expect(report).toMatchObject({ target: name, warnings: [] });
        expect(await schemaText(server, 'app', name)).toBe(backedUp);
        const kept = pg.escapeIdentifier(report['kept'] as string);
        await server.query('app', `DROP SCHEMA ${s} CASCADE; ALTER SCHEMA ${kept} RENAME TO ${s}`);
        expect(await schemaText(server, 'app', name)).toBe(damaged);
        await pgsiloOk(['restore', file, name, '--replace', '--drop-old', '--yes'], at);
        expect(entriesOf(await databaseText(server, 'app'))).toEqual(before);
        expect(await server.databases()).toEqual(['app', 'postgres']);
      },
    );
  });
});

describe('a restore in place that is interrupted or killed', () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  beforeAll(async () => {
    server = await startServer();
    at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
    file = writeSchemaPipeline(server);
    await createSchemaTenants(server, ['acme', 'globex'], 2000);
    await pgsiloOk(['backup', file], at);
    await server.query('app', 'DELETE FROM acme.invoice WHERE id % 3 = 0');
  });
  afterAll(() => server?.stop());

  it.each<Moment>([
    { does: 'says', what: 'fetch the backup', when: 'after', signal: 'SIGINT' },
    { does: 'sends', what: 'ALTER SCHEMA', when: 'after', signal: 'SIGINT' },
    { does: 'says', what: 'compare with the fingerprint', when: 'after', signal: 'SIGINT' },
    { does: 'sends', what: 'LOCK TABLE', when: 'after', signal: 'SIGINT' },
    { does: 'sends', what: 'ALTER SCHEMA', when: 'after' },
    { does: 'says', what: 'restore the data', when: 'after' },
    { does: 'says', what: 'build indexes', when: 'after' },
    { does: 'sends', what: 'LOCK TABLE', when: 'after' },
    { does: 'sends', what: 'COMMIT', when: 'before' },
  ])(
    'at the moment that it $does "$what" ($signal) has changed nothing',
    { timeout: 120_000 },
    async (moment) => {
      const before = await databaseText(server, 'app');
      const run = startPgsilo(['restore', file, 'acme', '--replace', '--yes'], {
        ...at,
        env: { ...at.env, ...dyingAt(moment) },
      });
      const { exit, stderr } = await run.result;
      expect({ exit, stderr }).toMatchObject({ exit: moment.signal === 'SIGINT' ? 130 : undefined });
      await nothingRuns(server);
      expect(await databaseText(server, 'app')).toBe(before);
    },
  );

  it('with its COMMIT on the way has changed everything or nothing', { timeout: 120_000 }, async () => {
    const before = await databaseText(server, 'app');
    const moment: Moment = { does: 'sends', what: 'COMMIT', when: 'after' };
    await startPgsilo(['restore', file, 'acme', '--replace', '--yes'], {
      ...at,
      env: { ...at.env, ...dyingAt(moment) },
    }).result;
    await nothingRuns(server);
    const schemas = await server.query(
      'app',
      `SELECT nspname::text AS name FROM pg_namespace WHERE nspname LIKE 'acme\\_before\\_%'`,
    );
    const [{ count }] = (await server.query('app', 'SELECT count(*)::int AS count FROM acme.invoice')) as [
      { count: number },
    ];
    const untouched = (await databaseText(server, 'app')) === before;
    expect([
      { kept: 0, restored: false, untouched: true },
      { kept: 1, restored: true, untouched: false },
    ]).toContainEqual({ kept: schemas.length, restored: count === 2000, untouched });
  });

  it(
    'leaves the replaced one to be seen: plan says that a pattern takes it for a tenant',
    { timeout: 120_000 },
    async () => {
      await pgsiloOk(['restore', file, 'acme', '--replace', '--yes'], at);
      const matching = writeSchemaPipeline(server, '', `match: [acme, "acme_*"]`);
      expect((await pgsiloOk(['plan', matching], at)).all).toMatch(
        /looks? like (a copy|copies) made by a restore, backed up/,
      );
      // It is the same file.
      writeSchemaPipeline(server);
    },
  );

  it('rows come back by the command, and it says how many', { timeout: 120_000 }, async () => {
    const rows = ['restore', file, 'globex', '--rows', 'invoice where id <= 3'];
    await server.query('app', 'DELETE FROM globex.invoice WHERE id <= 2');
    const skipping = await pgsiloOk([...rows, '--on-conflict', 'skip'], at);
    expect(skipping.stdout).toMatch(/rows +invoice: 2 inserted, 0 replaced, 1 skipped/);
    const unasked = await pgsilo([...rows, '--on-conflict', 'replace'], at);
    expect([unasked.exit, unasked.stderr]).toEqual([
      2,
      expect.stringContaining('--on-conflict replace asks for confirmation'),
    ]);
    await server.query('app', 'UPDATE globex.invoice SET total = 0 WHERE id = 1');
    const { rows: counted } = (
      await pgsiloOk([...rows, '--on-conflict', 'replace', '--yes', '--json'], at)
    ).json();
    expect(counted).toEqual([{ table: 'invoice', inserted: 0, replaced: 3, skipped: 0 }]);
    expect(await server.query('app', 'SELECT total::int FROM globex.invoice WHERE id = 1')).toEqual([
      { total: 1 },
    ]);
    await server.query('app', 'DELETE FROM globex.child');
    const all = await pgsiloOk(['restore', file, 'globex', '--table', 'child', '--data-only'], at);
    expect(all.stdout).toMatch(/rows +child: 1 inserted/);
    for (const [wrong, message] of [
      [['--data-only'], '--data-only is given without --table'],
      [['--on-conflict', 'skip'], '--on-conflict is given without --rows or --data-only'],
      [['--rows', 'invoice where true', '--to', 'x'], '--to excludes --rows'],
      [['--rows', 'invoice'], 'is not of the form'],
    ] as const) {
      const refused = await pgsilo(['restore', file, 'globex', ...wrong], at);
      expect([refused.exit, refused.stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });

  it('elsewhere, the options for schemas are refused', async () => {
    const text = `pipeline: other\nsource: { use: database-per-tenant, connection: "\${env:SCHEMAS_URL}", match: app, bin: ${server.bin} }\nsinks: [{ use: local, path: other }]\n`;
    writeFileSync(join(server.folder, 'other.yaml'), text);
    for (const option of ['--into', '--to-schema']) {
      const { exit, stderr } = await pgsilo(['restore', 'other.yaml', 'app', option, 'x'], at);
      expect([exit, stderr]).toEqual([
        2,
        expect.stringContaining(`${option} says where a unit that is a schema goes`),
      ]);
    }
    writeFileSync(
      join(server.folder, 'whole.yaml'),
      text.replace('database-per-tenant', 'dumpall').replace(' match: app,', ''),
    );
    const rows = await pgsilo(['restore', 'whole.yaml', '@cluster', '--rows', 't where true'], at);
    expect([rows.exit, rows.stderr]).toEqual([
      2,
      expect.stringContaining('cannot put rows into live tables'),
    ]);
  });
});
