import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import { at, backUp, request, restore, type TestBackup } from './backups.ts';
import { setupOf, sql } from './fixture.ts';

let server: ThrowawayPostgres;
let url: string;
const backups: TestBackup[] = [];
let databases = 0;

beforeAll(async () => {
  server = await startPostgres({
    settings: { wal_level: 'logical', max_locks_per_transaction: 10, max_connections: 10 },
  });
});
afterAll(() => server?.stop());
afterEach(async () => {
  for (const backup of backups.splice(0)) await backup.remove();
});

/** A database with a schema `acme` and another one, and a backup of the first. */
async function prepare(...statements: string[]): Promise<TestBackup> {
  databases += 1;
  const name = `ties_${databases}`;
  await sql(server.url, `CREATE DATABASE ${name}`);
  url = server.urlOf(name);
  await sql(
    url,
    `CREATE SCHEMA acme; CREATE SCHEMA other; CREATE TABLE acme.orders (id int PRIMARY KEY, state text, total int);
     INSERT INTO acme.orders SELECT n, 'open', n FROM generate_series(1, 10) n`,
    ...statements,
  );
  const backup = await backUp(setupOf(url, { match: ['acme', 'other'] }), 'acme');
  backups.push(backup);
  return backup;
}
const setup = (): ReturnType<typeof setupOf> => setupOf(url, { match: ['acme', 'other'], lockTimeout: '2s' });
const text = (...more: string[]): string =>
  execFileSync(`${server.bin}/pg_dump`, ['--restrict-key=x', '--dbname', url, ...more], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  });

test.each([
  ['a foreign key', ['CREATE TABLE other.lines (orders int REFERENCES acme.orders)'], /constraint lines_orders_fkey on table other.lines \(on/],
  ['a view', ['CREATE VIEW other.all_orders AS SELECT * FROM acme.orders'], /rule _RETURN on view other.all_orders \(on (column id of )?table acme.orders/],
  ['a materialized view', ['CREATE MATERIALIZED VIEW other.m AS SELECT id FROM acme.orders'], /rule _RETURN on materialized view other.m/],
  ['a column of its type', [`CREATE TYPE acme.color AS ENUM ('red')`, 'CREATE TABLE other.paint (color acme.color)'], /table other.paint \(on type acme.color\)/],
  ['a function of its types', ['CREATE FUNCTION other.f(acme.orders) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$'], /function other.f\(acme.orders\)/],
  ['a default by its function', ['CREATE FUNCTION acme.next() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'CREATE TABLE other.t (n int DEFAULT acme.next())'], /default value for column n of table other.t \(on function acme.next\(\)\)/],
  ['a default by its sequence', ['CREATE SEQUENCE acme.ids', `CREATE TABLE other.t (n int DEFAULT nextval('acme.ids'))`], /default value for column n of table other.t \(on sequence acme.ids\)/],
  ['a trigger by its function', ['CREATE FUNCTION acme.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$', 'CREATE TABLE other.t (n int)', 'CREATE TRIGGER touched BEFORE INSERT ON other.t FOR EACH ROW EXECUTE FUNCTION acme.touch()'], /trigger touched on table other.t/],
  ['a policy', ['CREATE TABLE other.t (n int)', 'CREATE POLICY own ON other.t USING (n IN (SELECT id FROM acme.orders))'], /policy own on table other.t/],
  ['a child table', ['CREATE TABLE other.child () INHERITS (acme.orders)'], /table other.child \(on table acme.orders\)/],
  ['statistics', ['CREATE STATISTICS other.pair ON id, total FROM acme.orders'], /statistics object other.pair/],
  ['a cast to a type of another', ['CREATE TYPE acme.a AS (n int)', 'CREATE TYPE other.b AS (n int)', 'CREATE FUNCTION acme.to_b(acme.a) RETURNS other.b LANGUAGE sql AS $$ SELECT NULL::other.b $$', 'CREATE CAST (acme.a AS other.b) WITH FUNCTION acme.to_b(acme.a)'], /cast from acme.a to other.b/],
  ['an event trigger', ['CREATE FUNCTION acme.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$', 'CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION acme.watch()'], /event trigger watching/],
  ['a partition of another', ['CREATE TABLE other.p (n int) PARTITION BY LIST (n)', 'CREATE TABLE acme.p1 PARTITION OF other.p FOR VALUES IN (1)'], /partitions or children of tables outside of it.*table acme.p1 \(on table other.p\)/],
  ['an heir of another', ['CREATE TABLE other.p (n int)', 'CREATE TABLE acme.heir () INHERITS (other.p)'], /table acme.heir \(on table other.p\)/],
] as const)('%s outside that would go on using the replaced schema is named before anything starts', async (_, statements, message) => {
  const backup = await prepare(...statements);
  const before = text();
  await expect(prepareRestore(setup(), request(backup, { replace: true }), testContext())).rejects.toMatchObject({
    code: 'restore.refused',
    message: expect.stringMatching(message),
  });
  expect(text()).toBe(before);
}); // prettier-ignore

test("what belongs to the schema alone is in nobody's way", async () => {
  const backup = await prepare(
    'CREATE TABLE other.rate (id int PRIMARY KEY)', 'INSERT INTO other.rate VALUES (1)',
    'ALTER TABLE acme.orders ADD rate int DEFAULT 1 REFERENCES other.rate',
    `CREATE TYPE acme.color AS ENUM ('red')`, 'CREATE FUNCTION acme.hue(acme.color) RETURNS text LANGUAGE sql AS $$ SELECT $1::text $$',
    'CREATE CAST (acme.color AS text) WITH FUNCTION acme.hue(acme.color)',
    'CREATE TABLE acme.wide (id serial PRIMARY KEY, body text, color acme.color, child int REFERENCES acme.wide)',
    'CREATE FUNCTION acme.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$',
    'CREATE TRIGGER touched BEFORE INSERT ON acme.wide FOR EACH ROW EXECUTE FUNCTION acme.touch()',
    'CREATE OPERATOR acme.### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)',
    'CREATE TEXT SEARCH CONFIGURATION acme.plain (COPY = pg_catalog.simple)',
    'ALTER DEFAULT PRIVILEGES IN SCHEMA acme GRANT SELECT ON TABLES TO PUBLIC', 'GRANT USAGE ON SCHEMA acme TO PUBLIC',
    'CREATE FUNCTION other.by_name() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM acme.orders); END $$',
  ); // prettier-ignore
  const before = text();
  await sql(url, 'DELETE FROM acme.orders', 'DROP TABLE acme.wide');
  expect(await restore(setup(), request(backup, { replace: true, dropOld: true }))).toMatchObject({
    warnings: [],
  });
  expect(text()).toBe(before);
  expect(await sql(url, 'SELECT other.by_name()::int AS n')).toEqual([{ n: 10 }]);
});

test('tables that a subscription fills are refused', async () => {
  const backup = await prepare();
  await sql(
    url,
    `CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)`,
  );
  await sql(
    url,
    `INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) SELECT s.oid, 'acme.orders'::regclass, 'r' FROM pg_subscription s`,
  );
  await expect(prepareRestore(setup(), request(backup, { replace: true }), testContext())).rejects.toThrow(
    /filled by a subscription.*subscription feed \(on table acme.orders\)/,
  );
  await sql(url, 'DROP SUBSCRIPTION feed');
});

test('publications publish the restored tables as they published the replaced ones, and what the backup lacks is named', async () => {
  const filters = server.major >= 15;
  const backup = await prepare(
    'CREATE TABLE acme.plain (id int PRIMARY KEY)',
    `CREATE PUBLICATION "some ""of it""" FOR TABLE ONLY acme.orders ${filters ? `(id, state) WHERE (state = 'open' AND id > 3)` : ''}`,
    'CREATE PUBLICATION more FOR TABLE acme.plain, acme.orders',
    'CREATE PUBLICATION everything FOR ALL TABLES',
    ...(filters ? ['CREATE PUBLICATION whole FOR TABLES IN SCHEMA acme'] : []),
  );
  const before = text();
  const prepared = await prepareRestore(setup(), request(backup, { replace: true }), testContext());
  expect(prepared.plan.join('\n')).toMatch(
    /Make publications publish it in the place of the live one: more, "some \\"of it\\"", ?(whole)?|whole/,
  );
  await prepared.close();
  await sql(
    url,
    'CREATE TABLE acme.later (id int PRIMARY KEY)',
    'ALTER PUBLICATION more ADD TABLE acme.later',
  );
  const { warnings, kept } = await restore(setup(), request(backup, { replace: true }));
  expect(warnings).toEqual([
    'publication more no longer has table later, which the backup does not have',
    expect.stringContaining('REFRESH PUBLICATION'),
  ]);
  await sql(url, `DROP SCHEMA ${kept} CASCADE`);
  expect(text()).toBe(before);
});

test('an extension that lives in the schema goes on, with what others have built upon it', async () => {
  const backup = await prepare(
    'CREATE EXTENSION hstore SCHEMA acme', 'CREATE TABLE acme.flags (flag acme.hstore)', `INSERT INTO acme.flags VALUES ('a=>1')`,
    'CREATE TABLE other.flags (flag acme.hstore)',
  ); // prettier-ignore
  const before = text();
  await sql(url, 'DELETE FROM acme.flags');
  const { kept } = await restore(setup(), request(backup, { replace: true }));
  await sql(url, `DROP SCHEMA ${kept} CASCADE`);
  expect(text()).toBe(before);
  await expect(
    prepareRestore(setup(), request(backup, { toSchema: 'beside' }), testContext()),
  ).rejects.toThrow(/a database has each of them once: hstore/);
});

test('what builds upon the replaced schema while it is restored keeps it from being replaced', async () => {
  const backup = await prepare();
  const wanted = at(request(backup, { replace: true }), 'analyze', () =>
    sql(url, 'CREATE VIEW other.late AS SELECT id FROM acme.orders'),
  );
  await expect(restore(setup(), wanted)).rejects.toThrow(/view other.late[\s\S]*Nothing was changed/);
  expect(await sql(url, `SELECT count(*)::int AS n FROM other.late`)).toEqual([{ n: 10 }]);
});

test('what was built upon the kept schema keeps it from being dropped, with a warning', async () => {
  const backup = await prepare();
  const wanted = at(
    request(backup, { replace: true, dropOld: true }),
    'drop the replaced schema',
    async () => {
      const [row] = await sql<{ name: string }>(
        url,
        `SELECT nspname::text AS name FROM pg_namespace WHERE nspname LIKE 'acme_before%'`,
      );
      await sql(url, `CREATE VIEW other.late AS SELECT id FROM ${row!.name}.orders`);
    },
  );
  const { kept, warnings } = await restore(setup(), wanted);
  expect(kept).toMatch(/^acme_before_/);
  expect(warnings).toEqual([
    expect.stringMatching(/could not be dropped and is kept as acme_before_.*view other.late/),
  ]);
});

test('locks, rights and roles are looked at before anything starts', async () => {
  const backup = await prepare(
    'CREATE TABLE acme.many (n int) PARTITION BY LIST (n)',
    `DO $$ BEGIN FOR i IN 1..110 LOOP EXECUTE format('CREATE TABLE acme.m%s PARTITION OF acme.many FOR VALUES IN (%s)', i, i); END LOOP; END $$`,
  );
  const refused = (message: RegExp, as = url): Promise<void> =>
    expect(
      prepareRestore(
        setupOf(as, { match: ['acme', 'other'] }),
        request(backup, { replace: true }),
        testContext(),
      ),
    ).rejects.toThrow(message);
  await refused(/holds up to \d+ locks in its one transaction, and the server has room for \d+/);
  await sql(url, `CREATE ROLE limited LOGIN PASSWORD 'limited-password'`);
  const as = url.replace(/\/\/[^@]+@/, '//limited:limited-password@');
  await refused(
    /2 things stand in the way:\n- role limited may not create schemas in database ties_\d+\n- schema acme of database ties_\d+ belongs to/,
    as,
  );
  await sql(
    url,
    'DROP TABLE acme.many',
    'CREATE ROLE gone',
    'GRANT gone TO postgres',
    'CREATE TABLE acme.owned (n int)',
    'ALTER TABLE acme.owned OWNER TO gone',
    'CREATE ROLE reader',
    'GRANT SELECT ON acme.owned TO reader',
  );
  const owned = await backUp(setup(), 'acme');
  backups.push(owned);
  await sql(url, 'DROP TABLE acme.owned', 'DROP ROLE gone', 'DROP ROLE reader');
  await expect(
    prepareRestore(setup(), request(owned, { replace: true }), testContext()),
  ).rejects.toMatchObject({ code: 'restore.roles-missing', message: expect.stringContaining('gone') });
  expect(await restore(setup(), request(owned, { replace: true, owner: false }))).toMatchObject({
    target: 'acme',
  });
});
