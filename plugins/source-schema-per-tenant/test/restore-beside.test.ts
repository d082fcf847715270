import { execFileSync } from 'node:child_process';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { quoteIdentifier } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import { at, backUp, backUpAll, request, restore, type TestBackup } from './backups.ts';
import { hostileNames, setupOf } from './fixture.ts';

let server: SharedPostgres;
const undo: (() => Promise<void>)[] = [];

beforeAll(async () => {
  server = await sharedPostgres();
});
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

async function fresh(...statements: string[]): Promise<FreshDatabase> {
  const database = await server.freshDatabase('beside');
  undo.push(() => database.drop());
  for (const statement of statements) await database.query(statement);
  return database;
}
async function backedUp(database: FreshDatabase, schema: string): Promise<TestBackup> {
  const backup = await backUp(setupOf(database.url, { match: '*', fingerprint: 'content' }), schema);
  undo.push(() => backup.remove());
  return backup;
}
function text(database: FreshDatabase, schema?: string): string {
  const args = [
    '--restrict-key=x',
    '--dbname',
    database.url,
    ...(schema === undefined ? [] : [`--schema=${quoteIdentifier(schema)}`]),
  ];
  return execFileSync(`${server.bin}/pg_dump`, args, { encoding: 'utf8', maxBuffer: 1e9 });
}
const setup = (database: FreshDatabase): ReturnType<typeof setupOf> =>
  setupOf(database.url, { match: '*', lockTimeout: '2s' });

const content = (schema: string): string[] => {
  const s = quoteIdentifier(schema);
  return [
    `CREATE SCHEMA ${s}`, `CREATE TYPE ${s}.state AS ENUM ('open')`,
    `CREATE TABLE ${s}.orders (id serial PRIMARY KEY, state ${s}.state DEFAULT 'open', parent int REFERENCES ${s}.orders)`,
    `INSERT INTO ${s}.orders (parent) VALUES (NULL), (1), (2)`, `CREATE VIEW ${s}.open AS SELECT * FROM ${s}.orders WHERE state = 'open'`,
  ]; // prettier-ignore
};

test('a copy stands beside the live schema under another name, and the live one is not touched', async () => {
  const database = await fresh(...content('acme'), 'CREATE SCHEMA other');
  const backup = await backedUp(database, 'acme');
  const original = text(database, 'acme');
  await database.query('DELETE FROM acme.orders WHERE id = 3');
  const before = text(database);
  const [{ oid }] = (await database.query(`SELECT 'acme.orders'::regclass::oid AS oid`)) as [{ oid: number }];
  const prepared = await prepareRestore(
    setup(database),
    request(backup, { toSchema: 'copy' }),
    testContext(),
  );
  expect(prepared.replaces).toBeUndefined();
  expect(prepared.plan.join('\n')).toMatch(/and name it copy/);
  await prepared.close();
  expect(text(database)).toBe(before);
  const outcome = await restore(setup(database), request(backup, { toSchema: 'copy' }));
  expect(outcome).toMatchObject({
    target: 'copy',
    warnings: [],
    next: [expect.stringContaining('DROP SCHEMA "copy" CASCADE')],
  });
  expect(text(database, 'copy').replaceAll('copy', 'acme')).toBe(original);
  expect(await database.query(`SELECT 'acme.orders'::regclass::oid AS oid`)).toEqual([{ oid }]);
  await database.query('DROP SCHEMA copy CASCADE');
  expect(text(database)).toBe(before);
});

test('schemas can be called anything, before and after', { timeout: 180_000 }, async () => {
  const database = await fresh(...hostileNames.flatMap(content));
  const far = await fresh();
  const backups = await backUpAll(setup(database), hostileNames);
  undo.push(async () => void (await Promise.all(backups.map((backup) => backup.remove()))));
  const before = text(database);
  for (const [index, backup] of backups.entries()) {
    const next = hostileNames[(index + 1) % hostileNames.length]!;
    const renamed = request(backup, { into: far.name, toSchema: next });
    expect(await restore(setup(database), renamed)).toMatchObject({ target: next, warnings: [] });
    const beside = request(backup, { toSchema: 'copy of it' });
    expect(await restore(setup(database), beside)).toMatchObject({ target: 'copy of it', warnings: [] });
    await database.query('DROP SCHEMA "copy of it" CASCADE');
  }
  expect(text(database)).toBe(before);
  // They are alike but for their names, and each has got the next one's.
  expect(text(far)).toBe(before);
});

test('the live one is there all the time, and after a failure nothing of the copy is', async () => {
  const database = await fresh(...content('acme'));
  const backup = await backedUp(database, 'acme');
  const before = text(database);
  const wanted = request(backup, { toSchema: 'copy' });
  const seen: unknown[] = [];
  const look = async (): Promise<void> =>
    void seen.push((await database.query('SELECT count(*)::int AS n FROM acme.orders'))[0]!['n']);
  await restore(setup(database), { ...wanted, step: async (_, work) => { await look(); return await work(); } }); // prettier-ignore
  expect(seen.length).toBeGreaterThan(4);
  expect(new Set(seen)).toEqual(new Set([3]));
  await database.query('DROP SCHEMA copy CASCADE');
  const fail = (): Promise<never> => Promise.reject(new Error('on purpose'));
  await expect(restore(setup(database), at(wanted, 'give it its name', fail))).rejects.toThrow(
    /Nothing was changed/,
  );
  expect(text(database)).toBe(before);
});

test('what still says the old name in words is reported and left as it is', async () => {
  const database = await fresh(
    ...content('acme'),
    'CREATE FUNCTION acme.count_all() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM acme.orders); END $$',
    'CREATE FUNCTION acme.at_home() RETURNS bigint LANGUAGE sql SET search_path = acme AS $$ SELECT count(*) FROM orders $$',
    "CREATE FUNCTION acme.innocent() RETURNS text LANGUAGE sql AS $$ SELECT 'acmes acme_x xacme'::text $$",
    `CREATE TABLE acme.named (place text DEFAULT 'acme.orders', CHECK (place <> 'not acme'))`,
    `CREATE POLICY own ON acme.named USING (place = current_setting('acme.tenant', true))`,
  );
  const backup = await backedUp(database, 'acme');
  const { warnings } = await restore(setup(database), request(backup, { toSchema: 'copy' }));
  expect(warnings).toEqual([expect.stringMatching(/^CAREFUL: what these say still has the word acme/)]);
  for (const object of [
    'function copy.count_all()',
    'function copy.at_home()',
    'default value for column place of table copy.named',
    'constraint named_place_check',
    'policy own on table copy.named',
  ])
    expect(warnings[0]).toContain(object);
  expect(warnings[0]).not.toContain('innocent');
  expect(await database.query(`SELECT prosrc FROM pg_proc WHERE oid = 'copy.count_all'::regproc`)).toEqual([
    { prosrc: expect.stringContaining('FROM acme.orders') },
  ]);
  const elsewhere = await restore(
    setup(database),
    request(backup, { to: `${database.name}_new`, toSchema: 'copy' }),
  );
  undo.push(async () => void (await database.query(`DROP DATABASE ${database.name}_new`)));
  expect(elsewhere.warnings).toEqual(warnings);
});

test('into another database that is there, whose other schemas stay as they are', async () => {
  const database = await fresh(
    'CREATE SCHEMA central; CREATE TABLE central.rate (id int PRIMARY KEY); INSERT INTO central.rate VALUES (1)',
    ...content('acme'),
  );
  await database.query('ALTER TABLE acme.orders ADD rate int DEFAULT 1 REFERENCES central.rate');
  const backup = await backedUp(database, 'acme');
  const bare = await fresh();
  const refused = (into: string, message: RegExp, more = {}): Promise<void> =>
    expect(
      prepareRestore(setup(database), request(backup, { into, ...more }), testContext()),
    ).rejects.toThrow(message);
  await refused(bare.name, /lacks schemas that the backup needs: central \(constraint/);
  await refused(database.name, /schema acme is in database .* already/);
  await refused('no such database', /does not exist/);
  await refused(bare.name, /is not of 1 to 63 bytes/, { toSchema: 'pg_mine' });
  const full = await fresh(
    'CREATE SCHEMA central; CREATE TABLE central.rate (id int PRIMARY KEY); INSERT INTO central.rate VALUES (1); CREATE SCHEMA acme_2; CREATE TABLE acme_2.t (n int)',
  );
  const before = text(full);
  expect(await restore(setup(database), request(backup, { into: full.name }))).toMatchObject({
    target: 'acme',
  });
  expect(text(full, 'acme')).toBe(text(database, 'acme'));
  await full.query('DROP SCHEMA acme CASCADE');
  expect(text(full)).toBe(before);
  // The rows that it needs are not there: nothing of it stays.
  await full.query('DELETE FROM central.rate');
  const empty = text(full);
  await expect(restore(setup(database), request(backup, { into: full.name }))).rejects.toThrow(
    /violates foreign key constraint[\s\S]*Nothing was changed/,
  );
  expect(text(full)).toBe(empty);
});

test('extensions must be where the backup has them', async () => {
  const database = await fresh(
    'CREATE SCHEMA acme; CREATE EXTENSION citext SCHEMA public; CREATE TABLE acme.word (word public.citext)',
  );
  const backup = await backedUp(database, 'acme');
  const bare = await fresh();
  const into = request(backup, { into: bare.name });
  await expect(prepareRestore(setup(database), into, testContext())).rejects.toMatchObject({
    message: expect.stringContaining('does not have it'), hint: expect.stringContaining('CREATE EXTENSION "citext" SCHEMA "public";'),
  }); // prettier-ignore
  await bare.query('CREATE EXTENSION citext SCHEMA public');
  await restore(setup(database), into);
  expect(text(bare, 'acme')).toBe(text(database, 'acme'));
});

test('a database in another encoding than UTF-8 keeps what its rows and names say', async () => {
  const database = await server.freshDatabase('latin', `TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`);
  undo.push(() => database.drop());
  await database.query(
    `CREATE SCHEMA "señor"; CREATE TABLE "señor"."año" AS SELECT 'ñandú ÿ'::text AS "qué"; COMMENT ON TABLE "señor"."año" IS 'dieciséis'`,
  );
  const backup = await backedUp(database, 'señor');
  const before = text(database);
  await database.query('DELETE FROM "señor"."año"');
  expect(await restore(setup(database), request(backup, { replace: true, dropOld: true }))).toMatchObject({
    target: 'señor',
  });
  expect(text(database)).toBe(before);
});
