import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

/** A trigger of a partitioned table that would change each row that is inserted, and one that writes into another table. */
const partitioned = (schema: string): string => `
  CREATE TABLE ${schema}.ev (tenant text NOT NULL, id int NOT NULL, b text) PARTITION BY LIST (tenant);
  CREATE TABLE ${schema}.audit (id int);
  CREATE FUNCTION ${schema}.tr() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.b := 'pending'; RETURN NEW; END$$;
  CREATE FUNCTION ${schema}.au() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO ${schema}.audit VALUES (NEW.id); RETURN NULL; END$$;`;
const triggers = (schema: string): string => `
  CREATE TRIGGER tr BEFORE INSERT ON ${schema}.ev FOR EACH ROW EXECUTE FUNCTION ${schema}.tr();
  CREATE TRIGGER au AFTER INSERT ON ${schema}.ev FOR EACH ROW EXECUTE FUNCTION ${schema}.au();
  ALTER TABLE ${schema}.ev ENABLE ALWAYS TRIGGER au;`;
const states =
  'SELECT tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgrelid::regclass::text, 1';

describe('a trigger of a partitioned table does not fire for rows that are restored', () => {
  let server: TestServer;
  let other: TestServer;
  let at: CallOptions;
  /** How the live ones are set. */
  let wanted: unknown;
  const pipeline = (name: string, source: string): void =>
    writeFileSync(
      join(server.folder, `${name}.yaml`),
      `pipeline: ${name}\nsource: { ${source}, connection: "\${env:LIVE_URL}" }\nsinks: [{ use: local, path: store }]\n`,
    );
  const paid = async (where: TestServer, database: string, schema: string): Promise<unknown> =>
    (
      await where.query(
        database,
        `SELECT (SELECT count(*)::int FROM ${schema}.ev) AS rows, (SELECT count(*)::int FROM ${schema}.ev WHERE b = 'paid') AS paid, (SELECT count(*)::int FROM ${schema}.audit) AS audit`,
      )
    )[0];

  beforeAll(async () => {
    [server, other] = await Promise.all([startServer(), startServer()]);
    at = { cwd: server.folder, env: { LIVE_URL: server.url, OTHER_URL: other.url } };
    for (const name of ['app', 'whole']) await server.query('postgres', `CREATE DATABASE ${name}`);
    await server.query(
      'app',
      `CREATE SCHEMA central; CREATE SCHEMA acme; CREATE SCHEMA beta; ${partitioned('central')}
       CREATE TABLE acme.ev PARTITION OF central.ev FOR VALUES IN ('acme'); CREATE TABLE beta.ev PARTITION OF central.ev FOR VALUES IN ('beta');
       INSERT INTO central.ev VALUES ('acme', 1, 'paid'), ('acme', 2, 'paid'), ('beta', 1, 'paid'); ${triggers('central')}`,
    );
    wanted = await server.query('app', states);
    await server.query(
      'whole',
      `${partitioned('public')} CREATE TABLE ev_small PARTITION OF ev FOR VALUES IN ('small'); CREATE TABLE ev_large PARTITION OF ev FOR VALUES IN ('large');
       INSERT INTO ev SELECT 'large', i, 'paid' FROM generate_series(1, 300000) i; INSERT INTO ev VALUES ('small', 1, 'paid'); ${triggers('public')}`,
    );
    pipeline('schemas', 'use: schema-per-tenant, database: app, schemas: [acme, beta], shared: [central]');
    await server.query('postgres', 'CREATE DATABASE one');
    await server.query(
      'one',
      `CREATE SCHEMA acme; ${partitioned('acme')} CREATE TABLE acme.ev_s PARTITION OF acme.ev FOR VALUES IN ('s') PARTITION BY LIST (id); CREATE TABLE acme.ev_s_1 PARTITION OF acme.ev_s FOR VALUES IN (1);
       CREATE TABLE acme.ev_l PARTITION OF acme.ev FOR VALUES IN ('l'); INSERT INTO acme.ev VALUES ('s', 1, 'paid'), ('l', 1, 'paid'); ${triggers('acme')}`,
    );
    pipeline('one', 'use: schema-per-tenant, database: one, schemas: [acme]');
    pipeline('whole', 'use: database-per-tenant, databases: [whole], globals: false');
    for (const name of ['schemas', 'one', 'whole']) await pgsiloOk(['backup', `${name}.yaml`], at);
  });
  afterAll(async () => {
    await Promise.all([server?.stop(), other?.stop()]);
  });

  it('of a whole database, by several workers', async () => {
    await pgsiloOk(['restore', 'whole.yaml', 'whole', '--to', 'whole_2', '--jobs', '4'], at);
    expect(await paid(server, 'whole_2', 'public')).toEqual({ rows: 300_001, paid: 300_001, audit: 0 });
    await pgsiloOk(
      ['restore', 'whole.yaml', 'whole', '--to', 'whole_3', '--jobs', '4', '--table', 'public.ev'],
      at,
    );
    const [row] = await server.query('whole_3', `SELECT count(*)::int AS paid FROM ev WHERE b = 'paid'`);
    expect(row).toEqual({ paid: 300_001 });
  });

  it.each([1, 4])('of single tables of a schema, by %i workers', async (jobs) => {
    const table = ['--table', 'ev', '--jobs', String(jobs)];
    const name = `one_${jobs}`;
    const count = `SELECT count(*)::int AS paid FROM`;
    await pgsiloOk(['restore', 'one.yaml', 'acme', ...table, '--to', name], at);
    expect(await server.query(name, `${count} acme.ev WHERE b = 'paid'`)).toEqual([{ paid: 2 }]);
    await pgsiloOk(['restore', 'one.yaml', 'acme', ...table, '--to-schema', name], at);
    expect(await server.query('one', `${count} ${name}.ev WHERE b = 'paid'`)).toEqual([{ paid: 2 }]);
    await pgsiloOk(['restore', 'one.yaml', 'acme', '--jobs', String(jobs), '--to', `${name}_all`], at);
    expect(await paid(server, `${name}_all`, 'acme')).toEqual({ rows: 2, paid: 2, audit: 0 });
  });

  it('of schemas that are partitions of a shared one', async () => {
    await pgsiloOk(['restore', 'schemas.yaml', '--all', '--to-server', 'env:OTHER_URL'], at);
    expect(await paid(other, 'app', 'central')).toEqual({ rows: 3, paid: 3, audit: 0 });
    expect(await other.query('app', states)).toEqual(wanted);
  });

  it('of one such schema, into a database that has the shared one', async () => {
    await server.query('postgres', 'CREATE DATABASE into_it');
    for (const name of ['central', 'acme'])
      await pgsiloOk(['restore', 'schemas.yaml', name, '--into', 'into_it'], at);
    expect(await paid(server, 'into_it', 'central')).toEqual({ rows: 2, paid: 2, audit: 0 });
    await server.query('into_it', `INSERT INTO central.ev VALUES ('acme', 3, 'paid')`);
    expect(await paid(server, 'into_it', 'central')).toEqual({ rows: 3, paid: 2, audit: 1 });
  });
});
