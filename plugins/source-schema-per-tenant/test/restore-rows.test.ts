import { execFileSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PgsiloError, type RestoreRequest } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import { at, backUp, request, restore, type TestBackup } from './backups.ts';
import { setupOf, sql } from './fixture.ts';

// Each restore makes a database, some tests make many.
vi.setConfig({ testTimeout: 120_000 });

const server: SharedPostgres = await sharedPostgres();
let database: FreshDatabase;
let backup: TestBackup;

beforeEach(async () => {
  database = await server.freshDatabase('rows');
  for (const statement of [
    'CREATE SCHEMA central; CREATE TABLE central.plan (id int PRIMARY KEY); INSERT INTO central.plan VALUES (1)',
    `CREATE SCHEMA acme; CREATE TYPE acme.state AS ENUM ('open', 'paid')`,
    `CREATE TABLE acme.accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id text, state acme.state, gone int, "Odd ""name""" text,
       doubled bigint GENERATED ALWAYS AS (id * 2) STORED, plan int DEFAULT 1 REFERENCES central.plan, doc jsonb)`,
    `INSERT INTO acme.accounts (tenant_id, state, gone, "Odd ""name""", doc) SELECT CASE WHEN n <= 3 THEN 'abc' ELSE 'it''s' END, 'open', n, E'tab\\t' || n || E'\\nline', '{"a": [1, null]}' FROM generate_series(1, 6) n`,
    'CREATE TABLE acme.keyless (n int); INSERT INTO acme.keyless VALUES (1), (2)',
    'CREATE TABLE acme.event (at date, what text, PRIMARY KEY (at, what)) PARTITION BY RANGE (at)',
    `CREATE TABLE acme.event_2025 PARTITION OF acme.event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'); INSERT INTO acme.event VALUES ('2025-02-03', 'x'), ('2025-02-04', 'y')`,
    'CREATE TABLE acme.log (id bigint)',
    'CREATE FUNCTION acme.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END $$',
  ])
    await database.query(statement);
  backup = await backUp(
    setupOf(database.url, { match: ['acme', 'central'], fingerprint: 'content' }),
    'acme',
  );
});
afterEach(async () => {
  await backup.remove();
  await database.drop();
  // oxlint-disable-next-line vitest/no-standalone-expect
  expect(await leftCopies()).toEqual([]);
});

const setup = (): ReturnType<typeof setupOf> =>
  setupOf(database.url, { match: ['acme', 'central'], lockTimeout: '2s' });
const rows = (where: string, more: Partial<RestoreRequest> = {}): RestoreRequest =>
  request(backup, { rows: [{ table: 'accounts', where }], ...more });
const text = (): string =>
  execFileSync(`${server.bin}/pg_dump`, ['--restrict-key=x', '--dbname', database.url], { encoding: 'utf8' });
/** Copies that stay. Other files restore on the same server meanwhile: theirs go. */
async function leftCopies(): Promise<string[]> {
  const copies = async (): Promise<string[]> => {
    const rows = await sql(
      server.url,
      `SELECT datname FROM pg_database WHERE datname LIKE 'pgsilo_restoring_%' AND shobj_description(oid, 'pg_database') LIKE '%of acme'`,
    );
    return rows.map((row) => String(row['datname']));
  };
  let left = await copies();
  for (let tries = 0; left.length > 0 && tries < 150; tries += 1) {
    await sleep(200);
    const now = new Set(await copies());
    left = left.filter((name) => now.has(name));
  }
  return left;
}
const refused = (wanted: RestoreRequest, code: string, message: RegExp): Promise<void> =>
  expect(restore(setup(), wanted)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });

test('rows that are gone come back as they were, with their numbers and without what is computed', async () => {
  const before = text();
  await database.query(`DELETE FROM acme.accounts WHERE tenant_id = 'abc'`);
  const outcome = await restore(setup(), rows(`tenant_id = 'abc'`));
  expect(outcome).toMatchObject({
    target: 'acme',
    warnings: [],
    rows: [{ table: 'accounts', inserted: 3, replaced: 0, skipped: 0 }],
  });
  const sorted = (all: string): string[] => all.split('\n').sort();
  expect(sorted(text())).toEqual(sorted(before));
});

test('rows come into a database whose transactions are read-only by default', async () => {
  await database.query('DELETE FROM acme.accounts');
  const of = `ALTER DATABASE "${database.name}"`;
  await sql(server.url, `${of} SET default_transaction_read_only = on`);
  const restored = await restore(setup(), rows('id < 3')).finally(() =>
    sql(server.url, `${of} RESET default_transaction_read_only`),
  );
  expect(restored.rows).toMatchObject([{ inserted: 2 }]);
});

test('rows of tables that inherit from a table are not taken for its own', async () => {
  await database.query(
    `CREATE TABLE acme.parent (id int PRIMARY KEY); CREATE TABLE acme.child (more text) INHERITS (acme.parent); INSERT INTO acme.parent VALUES (1); INSERT INTO acme.child VALUES (2, 'x')`,
  );
  const all = await backUp(setupOf(database.url, { match: ['acme', 'central'] }), 'acme');
  const before = text();
  for (const wish of [{ table: 'parent', where: 'true' }, { table: 'parent' }]) {
    await database.query('DELETE FROM ONLY acme.parent');
    const restored = await restore(setup(), request(all, { rows: [wish] }));
    expect(restored.rows).toMatchObject([{ inserted: 1 }]);
    expect(text()).toBe(before);
  }
  await all.remove();
});

test('a row that is there ends it, stays, or is made what it was', async () => {
  await database.query(
    `DELETE FROM acme.accounts WHERE id = 1; UPDATE acme.accounts SET state = 'paid', gone = 99 WHERE id = 2`,
  );
  const before = text();
  await refused(
    rows(`tenant_id = 'abc'`),
    'restore.failed',
    /duplicate key value[\s\S]*nothing else was changed/,
  );
  expect(text()).toBe(before);
  expect((await restore(setup(), rows(`tenant_id = 'abc'`, { onConflict: 'skip' }))).rows).toEqual([
    { table: 'accounts', inserted: 1, replaced: 0, skipped: 2 },
  ]);
  expect(await database.query('SELECT gone FROM acme.accounts WHERE id = 2')).toEqual([{ gone: 99 }]);
  const prepared = await prepareRestore(setup(), rows('true', { onConflict: 'replace' }), testContext());
  expect(prepared.replaces).toBe('acme');
  await prepared.close();
  expect((await restore(setup(), rows(`id < 4`, { onConflict: 'replace' }))).rows).toEqual([
    { table: 'accounts', inserted: 0, replaced: 3, skipped: 0 },
  ]);
  expect(await database.query('SELECT gone, state FROM acme.accounts WHERE id = 2')).toEqual([
    { gone: 2, state: 'open' },
  ]);
});

test('the condition runs in the copy, read-only: it reaches nothing that is live', async () => {
  await database.query(
    `DELETE FROM acme.accounts; CREATE TABLE acme.touched (n int); INSERT INTO acme.touched VALUES (1)`,
  );
  const before = text();
  for (const where of [
    'true); DELETE FROM acme.accounts; SELECT (true',
    `true) TO PROGRAM 'touch /tmp/pgsilo-was-here' --`,
    'id IN (SELECT n FROM acme.touched)',
    'tru',
    'id =',
    '',
    `(SELECT set_config('search_path', 'x', false)) IS NULL OR nextval('acme.accounts_id_seq') > 0`,
    `id = (DELETE FROM acme.log RETURNING 1)`,
  ])
    // prettier-ignore
    await refused(rows(where), 'usage.invalid', /cannot be chosen by/);
  expect(text()).toBe(before);
  expect((await readdir('/tmp')).filter((name) => name === 'pgsilo-was-here')).toEqual([]);
  // Other tables of the copy may be asked, and what ends in a comment is no way out.
  expect((await restore(setup(), rows(`id IN (SELECT n FROM keyless) -- only these`))).rows).toMatchObject([
    { inserted: 2 },
  ]);
});

test('all rows of a table go into an empty one; one that is filled wants to be told', async () => {
  const all = (table: string, more: Partial<RestoreRequest> = {}): RestoreRequest =>
    request(backup, { rows: [{ table }], ...more });
  await refused(all('acme.event'), 'restore.target-not-empty', /table event of schema acme holds rows/);
  await refused(all('keyless', { onConflict: 'replace' }), 'restore.refused', /no primary key/);
  await refused(all('other.event'), 'usage.invalid', /not of schema acme/);
  await refused(all('evnt'), 'restore.no-match', /the backup has no table evnt/);
  await database.query('DELETE FROM acme.event; DELETE FROM acme.keyless');
  const wanted = request(backup, { rows: [{ table: 'acme.event' }, { table: 'keyless' }] });
  expect((await restore(setup(), wanted)).rows).toEqual([
    { table: 'event', inserted: 2, replaced: 0, skipped: 0 },
    { table: 'keyless', inserted: 2, replaced: 0, skipped: 0 },
  ]);
  expect((await restore(setup(), all('event', { onConflict: 'replace' }))).rows).toEqual([
    { table: 'event', inserted: 0, replaced: 0, skipped: 2 },
  ]);
});

test('columns are matched by name; those that are gone are named, triggers and keys of the live table hold', async () => {
  await database.query(
    `DELETE FROM acme.accounts; ALTER TABLE acme.accounts DROP COLUMN gone; ALTER TABLE acme.accounts ADD COLUMN added text DEFAULT 'new';
     CREATE TRIGGER noted AFTER INSERT ON acme.accounts FOR EACH ROW EXECUTE FUNCTION acme.note()`,
  );
  const outcome = await restore(setup(), rows('id = 2'));
  expect(outcome.warnings).toEqual([
    'table acme.accounts no longer has columns of the backup, whose values are left out: gone',
  ]);
  expect(await database.query('SELECT id::int, added, doubled::int FROM acme.accounts')).toEqual([
    { id: 2, added: 'new', doubled: 4 },
  ]);
  expect(await database.query('SELECT id::int FROM acme.log')).toEqual([{ id: 2 }]);
  await database.query('DELETE FROM acme.accounts; DELETE FROM central.plan');
  await refused(rows('id = 2'), 'restore.failed', /violates foreign key constraint/);
  expect((await restore(setup(), rows('false'))).next).toEqual([expect.stringContaining('no such row')]);
});

test('what ends it before its time changes nothing and leaves no copy', async () => {
  await database.query('DELETE FROM acme.accounts');
  const before = text();
  for (const step of ['restore the data', 'choose the rows', 'put the rows in']) {
    const stop = new AbortController();
    const wanted = at(rows('true'), step, async () => stop.abort(new PgsiloError('aborted', 'interrupted')));
    await expect(restore(setup(), wanted, { ...testContext(), signal: stop.signal })).rejects.toMatchObject({
      code: 'aborted',
    });
    expect(await leftCopies()).toEqual([]);
  }
  const end = (): Promise<unknown> =>
    database.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'pgsilo restore%' AND datname = current_database()`,
    );
  await expect(restore(setup(), at(rows('true'), 'put the rows in', end))).rejects.toMatchObject({
    code: 'restore.failed',
  });
  expect(text()).toBe(before);
});

test('many rows flow through at the pace of the slower end', async () => {
  await database.query(
    `CREATE TABLE acme.large AS SELECT n AS id, repeat(md5(n::text), 30) AS body FROM generate_series(1, 20000) n`,
  );
  const large = await backUp(setup(), 'acme');
  await database.query('DELETE FROM acme.large WHERE id % 2 = 0');
  const outcome = await restore(setup(), request(large, { rows: [{ table: 'large', where: 'id % 2 = 0' }] }));
  expect(outcome.rows).toEqual([{ table: 'large', inserted: 10000, replaced: 0, skipped: 0 }]);
  expect(
    await database.query(
      `SELECT count(DISTINCT id)::int AS n, bool_and(body = repeat(md5(id::text), 30)) AS same FROM acme.large`,
    ),
  ).toEqual([{ n: 20000, same: true }]);
  await large.remove();
});
