import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf, settingsOf, textOf } from './services/equality.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { availablePostgres, installPostgres } from './services/postgres.ts';
import { startServer, type TestServer } from './services/server.ts';

const versions = [(await availablePostgres())[0]!, await installPostgres(17), await installPostgres(18)];
const example = join(import.meta.dirname, '..', 'examples', 'whole-server');

// Each stands on those before it.
describe('examples/whole-server', { timeout: 180_000 }, () => {
  let server: TestServer;
  let at: CallOptions;

  beforeAll(async () => {
    server = await startServer();
    await server.query('postgres', `CREATE ROLE app LOGIN PASSWORD 'only-here'`);
    for (const name of ['nostromo', 'sulaco', 'scratch']) {
      await server.query('postgres', `CREATE DATABASE ${name} OWNER app`);
      await server.query('postgres', `REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`);
      await server.query(
        name,
        `CREATE TABLE crew AS SELECT i, '${name} ' || i AS name FROM generate_series(1, 50) i; ALTER TABLE crew OWNER TO app;
         CREATE FUNCTION look() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RETURN '
\\connect sulaco
'; END $f$`,
      );
    }
    await server.query('postgres', `ALTER DATABASE nostromo SET work_mem TO '8MB'`);
    const cwd = join(server.folder, 'example');
    cpSync(example, cwd, { recursive: true });
    const disks = { SERVER_BACKUPS: join(server.folder, 'backups') };
    at = { cwd, env: { SERVER_URL: server.url, ...disks } };
  });
  afterAll(async () => server?.stop());

  it('is valid, and a doctor finds nothing wrong with it', async () => {
    await pgsiloOk(['validate', 'pipeline.yaml'], at);
    const { checks } = (await pgsiloOk(['doctor', 'pipeline.yaml', '--json'], at)).json();
    expect(checks.filter(({ status }: { status: string }) => status === 'failed')).toEqual([]);
    expect(checks.map(({ name }: { name: string }) => name)).toContain('pg_dumpall');
  });

  it('backs the server up as one unit, and says what the dump holds', async () => {
    await pgsiloOk(['backup', 'pipeline.yaml'], at);
    const { backups } = (await pgsiloOk(['list', 'pipeline.yaml', '--json'], at)).json();
    expect(backups.map(({ unit }: { unit: string }) => unit)).toEqual(['@cluster']);
    const verified = await pgsiloOk(['verify', 'pipeline.yaml', '--level', 'decode'], at);
    expect(verified.all).toMatch(/4 databases, 2 roles, 2 tables, 100 rows/);
    const shown = await pgsiloOk(['show', 'pipeline.yaml', '@cluster'], at);
    expect(shown.all).toContain('psql');
  });

  it('gives one database back beside the live one, as it was', async () => {
    const before = await textOf(server, 'nostromo');
    const settings = await settingsOf(server, 'nostromo');
    await server.query('nostromo', 'DELETE FROM crew');
    const parameters = [
      'restore',
      'pipeline.yaml',
      '@cluster',
      '--database',
      'nostromo',
      '--to',
      'nostromo_copy',
    ];
    const restored = await pgsiloOk(parameters, at);
    expect(restored.stdout).toContain('1 table, 50 rows');
    expect(await textOf(server, 'nostromo_copy')).toBe(before);
    expect(await settingsOf(server, 'nostromo_copy')).toEqual(settings);
    expect(await server.query('nostromo', 'SELECT FROM crew')).toEqual([]);
    expect(await server.databases()).toEqual(['nostromo', 'nostromo_copy', 'postgres', 'scratch', 'sulaco']);
  });

  it('gives roles back, and then all of it, on another server', async () => {
    const other = await startServer();
    try {
      const there = { ...at, env: { ...at.env, NEW_SERVER: other.url } };
      const to = ['restore', 'pipeline.yaml', '@cluster', '--to-server', 'env:NEW_SERVER'];
      await pgsiloOk([...to, '--roles-only'], there);
      expect(await other.databases()).toEqual(['postgres']);
      const app = await other.query('postgres', `SELECT rolpassword FROM pg_authid WHERE rolname = 'app'`);
      expect(app).toEqual(
        await server.query('postgres', `SELECT rolpassword FROM pg_authid WHERE rolname = 'app'`),
      );
      const whole = await pgsiloOk([...to, '--json'], there);
      expect(whole.json()).toMatchObject({
        compared: expect.stringMatching(/^2 databases, 2 tables, 100 rows/),
      });
      expect(await other.databases()).toEqual(['nostromo', 'postgres', 'sulaco']);
      for (const name of ['nostromo', 'sulaco']) {
        expect(await contentOf(other, name)).toHaveLength(1);
        expect(await settingsOf(other, name)).toEqual(await settingsOf(server, name));
      }
      expect(await textOf(other, 'sulaco')).toBe(await textOf(server, 'sulaco'));
    } finally {
      await other.stop();
    }
  });

  it.each([
    [['--database', 'nobody'], 'the backup has no database nobody'],
    [['--database', 'nostromo', '--to', 'sulaco'], 'database sulaco is on'],
    [['--database', 'nostromo', '--roles-only'], 'exclude each other'],
    [['--database', 'nostromo', '--replace', '--yes'], 'nothing that is live is replaced'],
    [[], 'has databases of the backup already'],
  ])('refuses %j, and makes nothing', async (parameters, message) => {
    const before = await server.databases();
    const result = await pgsilo(['restore', 'pipeline.yaml', '@cluster', ...parameters], at);
    expect(result.exit).not.toBe(0);
    expect(result.stderr).toContain(message);
    expect(await server.databases()).toEqual(before);
  });

  it('is what database-per-tenant covers with one pattern, database by database', async () => {
    const [, snippet] = /```yaml\n(.*?)```/s.exec(readFileSync(join(example, 'README.md'), 'utf8'))!;
    const file = join(at.cwd, 'each.yaml');
    const path = join(server.folder, 'each');
    writeFileSync(file, `pipeline: each\n${snippet}sinks: [{ use: local, path: ${path} }]\n`);
    const { jobs } = (await pgsiloOk(['plan', file, '--json'], at)).json();
    const units = jobs.flatMap((job: { units: { unit: string }[] }) => job.units.map(({ unit }) => unit));
    expect(units).toEqual(expect.arrayContaining(['@globals', 'nostromo', 'postgres', 'sulaco']));
    const refused = await pgsilo(['restore', file, 'nostromo', '--database', 'nostromo'], at);
    expect(refused.stderr).toContain('--database takes a part out of a unit that holds a whole server');
  });
});

/** A database of each locale provider that the version knows. */
const databases: readonly { readonly name: string; readonly since: number; readonly made: string }[] = [
  { name: 'plain', since: 14, made: "ENCODING 'LATIN1' LOCALE 'C'" },
  {
    name: 'german',
    since: 16,
    made: "LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a < g' LOCALE 'C.UTF-8'",
  },
  { name: 'steady', since: 17, made: "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'" },
];

describe.each(versions.filter(({ major }, index) => index === 0 || major !== versions[0]!.major))(
  'a whole server of PostgreSQL $major',
  { timeout: 180_000 },
  (version) => {
    const missing = 'unavailable' in version;

    it.skipIf(missing)('comes back as it was on another one', async () => {
      const { bin } = version as { bin: string };
      const [server, other] = await Promise.all([startServer({ bin }), startServer({ bin })]);
      try {
        const there = databases.filter(({ since }) => since <= server.major);
        for (const { name, made } of there) {
          await server.query('postgres', `CREATE DATABASE ${name} TEMPLATE template0 ${made}`);
          await server.query(
            name,
            `CREATE TABLE "größe" AS SELECT 'ñ' || i AS text FROM generate_series(1, 20) i`,
          );
          await server.query('postgres', `REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`);
        }
        const file = join(server.folder, 'pipeline.yaml');
        const source = `{ use: dumpall, connection: "\${env:URL}", bin: ${bin} }`;
        writeFileSync(
          file,
          `pipeline: v\nsource: ${source}\nsinks: [{ use: local, path: ${server.folder}/kept }]\n`,
        );
        const call = { cwd: server.folder, env: { URL: server.url, OTHER: other.url } };
        await pgsiloOk(['backup', file], call);
        const restored = await pgsiloOk(
          ['restore', file, '@cluster', '--to-server', 'env:OTHER', '--json'],
          call,
        );
        expect(restored.json().warnings).toEqual([]);
        expect(await other.databases()).toEqual([...there.map(({ name }) => name), 'postgres'].sort());
        for (const { name } of there) {
          expect(await textOf(other, name)).toBe(await textOf(server, name));
          expect(await settingsOf(other, name)).toEqual(await settingsOf(server, name));
          expect(await localeOf(other, name)).toEqual(await localeOf(server, name));
        }
      } finally {
        await Promise.all([server.stop(), other.stop()]);
      }
    });
  },
);

/** Provider, locales and rules, whatever columns the version has for them. */
async function localeOf(server: TestServer, database: string): Promise<[string, unknown][]> {
  const [row] = await server.query(
    'postgres',
    'SELECT to_jsonb(d) AS row FROM pg_database d WHERE datname = $1',
    [database],
  );
  const columns = /^(?:datlocprovider|datcollate|datctype|daticulocale|datlocale|daticurules|encoding)$/;
  return Object.entries(row!['row'] as object).filter(([column]) => columns.test(column));
}
