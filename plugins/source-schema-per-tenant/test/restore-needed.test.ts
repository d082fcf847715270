import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { BackupView, RestoreRequest } from '@pgsilo/plugin';
import { quoteIdentifier } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import { backUpAll, request, restore, type TestBackup } from './backups.ts';
import { setupOf, sql } from './fixture.ts';

vi.setConfig({ testTimeout: 120_000 });

const odd = 'odd "schema".x';
const units = ['acme', 'central', 'money', odd, 'loner', '@database'] as const;
let server: SharedPostgres;
let database: FreshDatabase;
let backups: Map<string, TestBackup>;
const made: string[] = [];

beforeAll(async () => {
  server = await sharedPostgres();
  database = await server.freshDatabase('needed');
  const q = quoteIdentifier(odd);
  for (const statement of [
    `CREATE SCHEMA money; CREATE EXTENSION hstore SCHEMA money; CREATE TYPE money.currency AS ENUM ('eur', 'usd'); CREATE FUNCTION money.of(int) RETURNS text LANGUAGE sql AS 'SELECT ''€'' || $1'`,
    `CREATE SCHEMA central; CREATE TABLE central.rate (id int PRIMARY KEY, currency money.currency, tags money.hstore); INSERT INTO central.rate VALUES (1, 'eur', 'a=>1'), (2, 'usd', NULL)`,
    `CREATE SCHEMA acme; CREATE TABLE acme.orders (id serial PRIMARY KEY, rate int CONSTRAINT rated REFERENCES central.rate, price text DEFAULT money.of(7))`,
    `INSERT INTO acme.orders (rate) SELECT 1 + n % 2 FROM generate_series(1, 10) n; CREATE VIEW acme.rates AS SELECT o.id, r.currency FROM acme.orders o JOIN central.rate r ON r.id = o.rate`,
    'CREATE TABLE acme.lines (orders int REFERENCES acme.orders, n int CHECK (n > 0), PRIMARY KEY (orders, n)); INSERT INTO acme.lines SELECT 1 + n % 5, n FROM generate_series(1, 20) n',
    'CREATE MATERIALIZED VIEW acme.totals AS SELECT currency, count(*) FROM acme.rates GROUP BY 1',
    // One needs the other, and the other one the one.
    'ALTER TABLE central.rate ADD first_order int REFERENCES acme.orders; UPDATE central.rate SET first_order = id',
    `CREATE SCHEMA ${q}; CREATE TABLE ${q}."ta.ble" (id int PRIMARY KEY); CREATE TABLE ${q}.refers (id int REFERENCES ${q}."ta.ble"); INSERT INTO ${q}."ta.ble" VALUES (1), (2)`,
    'CREATE SCHEMA reports; CREATE TABLE reports.own (n int PRIMARY KEY); INSERT INTO reports.own SELECT generate_series(1, 5); CREATE VIEW reports.all_orders AS SELECT id FROM acme.orders; CREATE VIEW reports.own_orders AS SELECT n FROM reports.own',
    `COMMENT ON VIEW reports.all_orders IS 'goes with it'; CREATE TABLE reports.refers (n int REFERENCES reports.own, o int CONSTRAINT "to acme" REFERENCES acme.orders); INSERT INTO reports.refers VALUES (1, 1)`,
    'CREATE PUBLICATION feed FOR TABLE acme.orders, reports.own',
    'CREATE SCHEMA loner; CREATE TABLE loner.t (n int REFERENCES reports.own)',
    `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''7MB''', current_database()); END $$`,
  ])
    await database.query(statement);
  const written = { schemas: ['acme', odd, 'loner'], shared: ['central', 'money'], uncovered: 'ignore' };
  const all = await backUpAll(setupOf(database.url, { ...written, fingerprint: 'content' }), units);
  backups = new Map(all.map((each) => [each.unit.name, each]));
});
afterAll(async () => {
  for (const name of made) await sql(server.url, `DROP DATABASE IF EXISTS ${quoteIdentifier(name)}`);
  for (const each of backups?.values() ?? []) await each.remove();
  await database?.drop();
});

const setup = (): ReturnType<typeof setupOf> => setupOf(database.url, { match: ['acme'], lockTimeout: '2s' });
/** As the engine asks for other units of the run. */
const companion = (unit: string): Promise<BackupView | undefined> => Promise.resolve(backups.get(unit));
function wanted(unit: string, more: Partial<RestoreRequest> = {}): ReturnType<typeof request> {
  return request(backups.get(unit)!, { companion, ...more });
}
function newDatabase(name: string): string {
  const full = `${database.name}_${name}`;
  made.push(full);
  return full;
}
const urlOf = (name: string): string => database.url.replace(`/${database.name}`, `/${name}`);
function text(name: string, ...schemas: string[]): string {
  const args = [
    '--restrict-key=x',
    '--dbname',
    urlOf(name),
    ...schemas.map((each) => `--schema=${quoteIdentifier(each)}`),
  ];
  return execFileSync(`${server.bin}/pg_dump`, args, { encoding: 'utf8', maxBuffer: 1e9 });
}

test('a schema comes back with those that it needs, and those that these need, whichever way their keys go', async () => {
  const to = newDatabase('all');
  const context = testContext();
  const prepared = await prepareRestore(setup(), wanted('acme', { to, toSchema: 'again', jobs: 2 }), context);
  expect(prepared.plan.join('\n')).toMatch(
    /from the same run: the schemas money, central, under their own names/,
  );
  const outcome = await prepared.run();
  await prepared.close();
  await context.dispose();
  expect(outcome.compared).toMatch(/^3 tables, 32 rows, 1 sequence, with their contents$/);
  expect(outcome.next.join()).toMatch(/but for what it needs \(money, central\)/);
  await sql(urlOf(to), 'ALTER SCHEMA again RENAME TO acme');
  expect(text(to, 'acme', 'central', 'money')).toBe(text(database.name, 'acme', 'central', 'money'));
  expect(await sql(urlOf(to), `SELECT * FROM acme.totals ORDER BY 1`)).toHaveLength(2);
});

test('what the run does not have as a unit is refused with what to run, and nothing is made', async () => {
  await expect(restore(setup(), wanted('loner', { to: newDatabase('none') }))).rejects.toMatchObject({
    code: 'restore.refused',
    message: expect.stringMatching(
      /loner cannot stand alone: it needs schema reports \(constraint .* on table loner.t\)/,
    ),
    hint: expect.stringMatching(/restore FILE @database --to NEW, then this one with --into NEW/),
  });
  await expect(restore(setup(), request(backups.get('acme')!, { to: newDatabase('none') }))).rejects.toThrow(
    /acme cannot stand alone/,
  );
});

test('single tables, in a new database without others and beside the live schema with its keys', async () => {
  const to = newDatabase('tables');
  const context = testContext();
  const outcome = await restore(setup(), wanted(odd, { to, tables: ['"ta.ble"'] }), context);
  expect(outcome).toMatchObject({
    compared: '1 table, 2 rows, 0 sequences, with their contents',
    warnings: [],
  });
  expect(text(to, odd)).not.toContain('refers');

  const lines = await restore(setup(), wanted('acme', { toSchema: 'few', tables: ['lines', 'acme.orders'] }));
  expect(lines).toMatchObject({
    target: 'few',
    compared: '2 tables, 30 rows, 1 sequence, with their contents',
    warnings: [],
  });
  const [keys] = await database.query(
    `SELECT count(*)::int AS keys FROM pg_constraint WHERE contype = 'f' AND connamespace = 'few'::regnamespace`,
  );
  expect(keys).toEqual({ keys: 2 });
  expect(await database.query('SELECT n FROM few.lines EXCEPT SELECT n FROM acme.lines')).toEqual([]);
  await database.query('DROP SCHEMA few CASCADE');

  // What a table is made of needs another schema, and brings it along; what only points there is left out.
  const orders = newDatabase('orders');
  const alone = await restore(setup(), wanted('acme', { to: orders, tables: ['lines', 'orders'] }));
  expect(alone.warnings).toEqual([
    'foreign key "orders rated" is left out, because table central.rate is not restored',
  ]);
  expect(await sql(urlOf(orders), 'SELECT count(*)::int AS n FROM acme.lines')).toEqual([{ n: 20 }]);

  for (const [more, code, message] of [
    [{ tables: ['order'] }, 'restore.no-match', /did you mean acme.orders\?/],
    [{ tables: ['central.rate'] }, 'usage.invalid', /is not of schema acme/],
    [{ tables: ['orders'], replace: true }, 'restore.refused', /a schema of a few tables/],
  ] as const)
    await expect(restore(setup(), wanted('acme', more))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
});

test('what belongs to no tenant comes back in a new database, without what is built upon tenants, which is named', async () => {
  const to = newDatabase('own');
  const outcome = await restore(setup(), wanted('@database', { to }));
  expect(outcome.compared).toBe('2 tables, 6 rows, 0 sequences, with their contents');
  expect(outcome.warnings).toEqual([
    'what needs schemas of tenants is left out, because they are not there: VIEW all_orders, FK CONSTRAINT "refers to acme", PUBLICATION TABLE "feed orders"',
  ]);
  expect(outcome.next[0]).toContain(`--into ${to}`);
  expect(await sql(urlOf(to), 'SELECT n FROM reports.own_orders')).toHaveLength(5);
  expect(await sql(urlOf(to), `SELECT current_setting('work_mem') AS work_mem`)).toEqual([
    { work_mem: '7MB' },
  ]);
  expect(await sql(urlOf(to), 'SELECT tablename::text FROM pg_publication_tables')).toEqual([
    { tablename: 'own' },
  ]);
  await restore(setup(), wanted('loner', { into: to }));
  expect(text(to, 'loner')).toBe(text(database.name, 'loner'));
  for (const more of [
    { replace: true },
    { into: to },
    { tables: ['own'] },
    { rows: [{ table: 'own', where: 'true' }] },
  ])
    await expect(restore(setup(), wanted('@database', more))).rejects.toMatchObject({
      code: 'restore.refused',
      message: expect.stringContaining('into a new database, and nowhere else'),
    });
});

test('rows come back into a table that needs types and functions of other schemas, of which the copy has no rows', async () => {
  const before = text(database.name);
  await database.query('DELETE FROM acme.orders WHERE id > 8');
  const wish = wanted('acme', { rows: [{ table: 'orders', where: 'id > 8' }] });
  expect((await restore(setup(), wish)).rows).toEqual([
    { table: 'orders', inserted: 2, replaced: 0, skipped: 0 },
  ]);
  expect(text(database.name)).toBe(before);
  await database.query('DELETE FROM acme.orders WHERE id > 8');
  const nothing = wanted('acme', {
    rows: [{ table: 'orders', where: 'id > 8 AND NOT EXISTS (SELECT FROM central.rate)' }],
  });
  expect((await restore(setup(), nothing)).rows).toMatchObject([{ inserted: 2 }]);
});
