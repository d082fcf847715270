import { execa } from 'execa';
import { writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standIns } from './services/client-programs.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { availablePostgres, installPostgres } from './services/postgres.ts';
import { startServer, type TestServer } from './services/server.ts';
import { schemaSql } from './services/schema-sql.ts';
import { schemaTextOf as textOf } from './services/schema-text.ts';

// Installed while the tests are collected: which there are depends on it.
const system = (await availablePostgres())[0]!;
const wanted = [system, await installPostgres(17), await installPostgres(18)];
const versions = wanted.filter(({ major }, index) => index === 0 || major !== system.major);

/** What schemas may be called, as SQL, as a pattern, as a file and as a tag for people. */
const tenants = ['acme', 'Acme', 'a.b"c', '*', 'q?x', 'qyx', 'select', 'two\nlines', `${'é'.repeat(31)}x`];

function writePipeline(server: TestServer, bin = server.bin, name = 'schemas.yaml'): string {
  const file = join(server.folder, name);
  const text = `pipeline: ${name.replace('.yaml', '')}
source:
  use: schema-per-tenant
  connection: \${env:SCHEMAS_URL}
  database: app
  registry: { query: "SELECT schema, plan FROM central.tenants" }
  shared: [central]
  fingerprint: content
  globals: false
  bin: ${bin}
transforms:
  - use: zstd
sinks:
  - { use: local, path: store-${name} }
`;
  writeFileSync(file, text);
  return file;
}

async function createTenants(server: TestServer): Promise<void> {
  for (const role of ['app_owner', '"app user"']) await server.query('postgres', `CREATE ROLE ${role}`);
  await server.query('postgres', 'CREATE DATABASE app OWNER app_owner');
  await server.query(
    'app',
    `CREATE SCHEMA central; CREATE TABLE central.tenants (schema text PRIMARY KEY, plan text); CREATE TABLE central.rates AS SELECT 1 AS rate;
     CREATE SCHEMA "0 first"; CREATE TABLE "0 first".t (id int PRIMARY KEY); INSERT INTO "0 first".t SELECT generate_series(1, 10);
     CREATE SCHEMA zlast; CREATE TABLE zlast.t (id int REFERENCES "0 first".t, at serial); INSERT INTO zlast.t SELECT generate_series(1, 10)`,
  );
  for (const [index, name] of tenants.entries()) {
    await server.query('app', schemaSql(name, 'app_owner', '"app user"', 100 + index));
    await server.query('app', 'INSERT INTO central.tenants VALUES ($1, $2)', [
      name,
      index % 2 ? 'free' : 'paid',
    ]);
  }
}

describe.each(versions)('PostgreSQL $major', { timeout: 180_000 }, (programs) => {
  describe.skipIf('unavailable' in programs)('a database of tenants', () => {
    let server: TestServer;
    let at: CallOptions;
    let file: string;
    beforeAll(async () => {
      server = await startServer('bin' in programs ? { bin: programs.bin } : {});
      at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
      file = writePipeline(server);
      await createTenants(server);
    });
    afterAll(() => server?.stop());

    it('is backed up in one pass, whatever its schemas are called, and a schema comes back as it was', async () => {
      const document = (await pgsiloOk(['backup', file, '--json'], at)).json();
      const units = document['runs'][0].report.units as { unit: string; status: string }[];
      expect(units.map(({ unit }) => unit).sort()).toEqual(['@database', 'central', ...tenants].sort());
      await pgsiloOk(['verify', file, '--level', 'decode'], at);
      // Each kind of name and of object is restored in schema-equality.test.ts; here, with several jobs.
      for (const [index, name] of tenants.slice(0, 3).entries()) {
        const to = `back_${index}`;
        await pgsiloOk(['restore', file, name, '--to', to, '--jobs', '4'], at);
        expect(await textOf(server, to, name)).toBe(await textOf(server, 'app', name));
        const schemas = await server.query(
          to,
          `SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')`,
        );
        expect(schemas).toEqual([{ nspname: name }]);
      }
    });

    it('keeps what belongs to no tenant in archives that pg_restore takes one after the other', async () => {
      const store = join(server.folder, 'store-schemas.yaml');
      const files = (await readdir(store, { recursive: true })).filter((name) => name.endsWith('.dump.zst'));
      const decoded = new Map<string, string>();
      for (const name of files.filter((one) => /\/(?:database|rows-\d+)\.dump/.test(one))) {
        const path = join(server.folder, name.replaceAll('/', '_'));
        await execa('zstd', ['-dq', join(store, name), '-o', path]);
        decoded.set(name.split('/').at(-1)!, path);
      }
      const rows = [...decoded.keys()].filter((name) => name.startsWith('rows-'));
      expect(rows).toHaveLength(2);
      await server.query('postgres', 'CREATE DATABASE by_hand');
      const into = [`--dbname=${server.urlOf('by_hand')}`, '--exit-on-error', '--jobs=2'];
      const restore = (name: string, ...more: string[]): Promise<unknown> =>
        execa(`${server.bin}/pg_restore`, [...into, ...more, decoded.get(name)!]);
      await restore('database.dump.zst', '--section=pre-data', '--section=data');
      for (const name of rows) await restore(name);
      await restore('database.dump.zst', '--section=post-data');
      for (const schema of ['0 first', 'zlast'])
        expect(await textOf(server, 'by_hand', schema)).toBe(await textOf(server, 'app', schema));
    });
  });
});

describe('what a person must know before', () => {
  let server: TestServer;
  let at: CallOptions;
  beforeAll(async () => {
    server = await startServer({
      settings: { max_connections: 10, max_wal_senders: 0, max_worker_processes: 2 },
    });
    at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
    await createTenants(server);
    await server.query(
      'app',
      'ALTER TABLE acme.customer ADD COLUMN rate int; CREATE TABLE central.rate (id int PRIMARY KEY); ALTER TABLE acme.customer ADD CONSTRAINT crossing FOREIGN KEY (rate) REFERENCES central.rate',
    );
  });
  afterAll(() => server?.stop());

  it(
    'a schema that needs another one is named by plan and doctor, and comes back with it, out of the same run',
    { timeout: 180_000 },
    async () => {
      const file = writePipeline(server);
      const said =
        /schema acme cannot be restored without schema central: 1 object, such as constraint crossing on table acme.customer/;
      expect((await pgsiloOk(['plan', file], at)).all).toMatch(said);
      expect((await pgsiloOk(['doctor', file], at)).all).toMatch(said);
      await pgsiloOk(['backup', file], at);
      const report = await pgsiloOk(['restore', file, 'acme', '--to', 'with_central'], at);
      expect(report.all).toMatch(/Bring along what it cannot be without, from the same run: schema central/);
      for (const schema of ['acme', 'central'])
        expect(await textOf(server, 'with_central', schema)).toBe(await textOf(server, 'app', schema));
      await pgsiloOk(['verify', file, 'acme', '--level', 'restore'], at);
      // The others' schemas go into what is the database's own.
      await pgsiloOk(['restore', file, '@database', '--to', 'anew'], at);
      await pgsiloOk(['restore', file, 'central', '--into', 'anew'], at);
      await pgsiloOk(['restore', file, 'acme', '--into', 'anew'], at);
      for (const schema of ['acme', 'central', '0 first', 'zlast'])
        expect(await textOf(server, 'anew', schema)).toBe(await textOf(server, 'app', schema));
      // A run that was made of it alone takes the newest from before; so does the backup of what a restore replaced.
      await pgsiloOk(['backup', file, '--only', 'acme'], at);
      const older = await pgsiloOk(['restore', file, 'acme', '--to', 'older'], at);
      expect(older.all).toMatch(/what it cannot be without: schema central \(of another moment: 20/);
      for (const schema of ['acme', 'central'])
        expect(await textOf(server, 'older', schema)).toBe(await textOf(server, 'app', schema));
      await pgsiloOk(['verify', file, 'acme', '--level', 'restore'], at);
      for (const name of ['with_central', 'anew', 'older'])
        await server.query('postgres', `DROP DATABASE ${name}`);
      expect(await server.databases()).toEqual(['app', 'postgres']);
    },
  );

  it('what belongs to no tenant and uses what a tenant has is left out of a restore by itself, and named', async () => {
    await server.query(
      'app',
      `CREATE TYPE qyx.mood AS ENUM ('good'); CREATE TABLE zlast.moods (id serial PRIMARY KEY, mood qyx.mood); INSERT INTO zlast.moods (mood) VALUES ('good');
       CREATE VIEW zlast.good AS SELECT * FROM zlast.moods; CREATE TABLE zlast.plain AS SELECT 7 AS n;
       CREATE TABLE public.stats (m qyx.mood); INSERT INTO public.stats VALUES ('good')`,
    );
    const file = writePipeline(server);
    await pgsiloOk(['backup', file], at);
    const { all } = await pgsiloOk(['restore', file, '@database', '--to', 'without'], at);
    expect(all).toMatch(
      /what needs schemas of tenants is left out, because they are not there: .*TABLE moods/,
    );
    const rows = await server.query('without', 'SELECT n FROM zlast.plain');
    expect(rows).toEqual([{ n: 7 }]);
    await server.query('postgres', 'DROP DATABASE without');
    await server.query(
      'app',
      'DROP VIEW zlast.good; DROP TABLE zlast.moods, zlast.plain, public.stats; DROP TYPE qyx.mood',
    );
  });

  it('an extension that a schema uses is made in the new database; one in the schema itself comes with it', async () => {
    await server.query(
      'app',
      `CREATE EXTENSION citext SCHEMA public; CREATE TABLE qyx.word AS SELECT 'a'::public.citext AS word;
       CREATE EXTENSION hstore SCHEMA "q?x"; CREATE TABLE "q?x".flag AS SELECT 'a=>1'::"q?x".hstore AS flag`,
    );
    const file = writePipeline(server);
    await pgsiloOk(['backup', file], at);
    for (const [unit, to, extension] of [
      ['qyx', 'with_citext', 'citext'],
      ['q?x', 'with_hstore', 'hstore'],
    ] as const) {
      await pgsiloOk(['restore', file, unit, '--to', to], at);
      expect(await textOf(server, to, unit)).toBe(await textOf(server, 'app', unit));
      const made = await server.query(to, `SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'`);
      expect(made).toEqual([{ extname: extension }]);
      await server.query('postgres', `DROP DATABASE ${to}`);
    }
  });

  it('a server without room for the locks is told the number that it needs, before pg_dump begins', async () => {
    // Room for 64 * (10 + 2 + 3) locks; partitions are cheap tables.
    await server.query('app', 'CREATE SCHEMA many; CREATE TABLE many.t (n int) PARTITION BY LIST (n)');
    for (let first = 0; first < 1000; first += 200)
      await server.query(
        'app',
        `DO $$ BEGIN FOR i IN ${first}..${first + 199} LOOP EXECUTE format('CREATE TABLE many.t%s PARTITION OF many.t FOR VALUES IN (%s)', i, i); END LOOP; END $$`,
      );
    const file = writePipeline(server, standIns(server, { pg_dump: 'touch begun; exit 1' }), 'locks.yaml');
    const { exit, stderr } = await pgsilo(['backup', file], at);
    expect(exit).toBe(3);
    expect(stderr).toMatch(/holds 1,0\d\d locks, and the server has room for 960/);
    expect(stderr).toMatch(/max_locks_per_transaction has to be 1[34]\d/);
    expect(await readdir(server.folder)).not.toContain('begun');
    await server.query('app', 'DROP SCHEMA many CASCADE').catch(() => undefined);
  });
});

describe('a pg_dump that fails', () => {
  let server: TestServer;
  let at: CallOptions;
  beforeAll(async () => {
    server = await startServer();
    at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
    await createTenants(server);
  });
  afterAll(() => server?.stop());

  it.each([
    ['after its last byte', '"$REAL" "$@"; exit 1'],
    ['and exits with 0 although its end is missing', '"$REAL" "$@" | head -c -100'],
    ['in the middle of the tenants', '"$REAL" "$@" | head -c 60000; exit 1'],
  ])('%s leaves no backup of any tenant', async (_, script) => {
    const bin = standIns(server, { pg_dump: script });
    const file = writePipeline(server, bin);
    const { exit, stderr } = await pgsilo(['backup', file], at);
    expect(exit).toBe(3);
    expect(stderr).toMatch(/source\.(incomplete|archive-invalid|failed)/);
    const stored = await readdir(join(server.folder, 'store-schemas.yaml'), { recursive: true });
    expect(stored.filter((name) => name.includes('.dump') || name.includes('manifest'))).toEqual([]);
  });
});
