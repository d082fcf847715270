import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import { testContext } from '@pgsilo/testkit';
import { backUp, database, request, restore, setupFor, type TestBackup } from './backups.ts';
import { databasesOf, sql as runSql, textOf } from './servers.ts';

const rich = readFileSync(
  join(dirname(fileURLToPath(import.meta.url)), '../../../packages/postgres/test/fixtures/rich.sql'),
  'utf8',
);
let server: ThrowawayPostgres;
let backup: TestBackup;

beforeAll(async () => {
  server = await startPostgres({ settings: { max_prepared_transactions: 5, wal_level: 'logical' } });
  await sql('postgres', 'CREATE ROLE rich_owner; CREATE ROLE rich_app; CREATE ROLE "rich reader"');
  await sql('postgres', 'CREATE DATABASE rich TEMPLATE template0');
  await sql('rich', rich);
  await sql(
    'rich',
    `
    ALTER DATABASE rich SET search_path TO app, public; ALTER DATABASE rich OWNER TO rich_owner; COMMENT ON DATABASE rich IS 'the rich one';
    ALTER ROLE rich_app IN DATABASE rich SET statement_timeout TO '7s'; REVOKE CONNECT ON DATABASE rich FROM PUBLIC; GRANT CONNECT ON DATABASE rich TO rich_app`,
  );
  backup = await backUp(server.url, database('rich'), undefined, { fingerprint: 'content' });
});

afterAll(async () => {
  await backup?.remove();
  await server?.stop();
});

const sql = (name: string, text: string): Promise<any[]> => runSql(server, name, text);
const databases = (): Promise<string[]> => databasesOf(server);

test('a rich database comes back as the text that it was, under a new name, with its settings', async () => {
  const wanted = request(backup);
  const outcome = await restore(setupFor(server.url), wanted);
  expect(outcome.target).toBe('rich_restored_20261121t020000z_7f3a9c');
  expect(outcome.compared).toContain('3,559 rows');
  expect(outcome.warnings).toEqual([]);
  expect(await textOf(server, outcome.target)).toBe(await textOf(server, 'rich'));
  const settings = (name: string): Promise<unknown[]> =>
    sql(
      'postgres',
      `SELECT pg_get_userbyid(datdba) AS owner, shobj_description(oid, 'pg_database') AS comment, datacl::text AS acl,
      (SELECT array_agg(setrole || ':' || setconfig::text ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid) AS config FROM pg_database d WHERE datname = '${name}'`,
    );
  expect(await settings(outcome.target)).toEqual(await settings('rich'));
  expect(wanted.steps).toEqual([
    'fetch the backup and check its hashes', 'create the database', 'restore the data', 'compare with the fingerprint', 'analyze',
    'apply settings and grants', 'give it its name',
  ]); // prettier-ignore
  expect(await sql(outcome.target, `SELECT reltuples::int FROM pg_class WHERE relname = 'orders'`)).toEqual([
    { reltuples: 3000 },
  ]);

  const again = prepareRestore(setupFor(server.url), request(backup), testContext());
  await expect(again).rejects.toMatchObject({ code: 'restore.target-exists' });
  await sql('postgres', `DROP DATABASE ${outcome.target}`);
  expect(await databases()).toEqual(['postgres', 'rich']);
});

test('what stands in the way is found before anything is written, all of it at once', async () => {
  const before = await databases();
  const refusal = (more: Parameters<typeof request>[1], url = server.url): Promise<unknown> =>
    prepareRestore(setupFor(url), request(backup, more), testContext()).catch((error: unknown) => error);
  expect(await refusal({ to: 'rich' })).toMatchObject({ code: 'restore.target-exists' });
  expect(await refusal({ to: 'x'.repeat(64) })).toMatchObject({ code: 'usage.invalid' });
  expect(await refusal({ replace: true, tables: ['app.orders'] })).toMatchObject({ code: 'restore.refused' });
  expect(await refusal({ replace: true, to: 'other' })).toMatchObject({ code: 'restore.refused' });
  expect(await refusal({ dropOld: true })).toMatchObject({ code: 'restore.refused' });
  expect(await refusal({ tables: ['app.ordres'] })).toMatchObject({
    code: 'restore.no-match',
    message: expect.stringContaining('did you mean app.orders'),
  });
  for (const mistyped of ['ap.orders', 'app.order', 'App.Orders']) {
    expect(await refusal({ tables: [mistyped] })).toMatchObject({
      message: expect.stringContaining('did you mean app.orders'),
      hint: expect.stringMatching(/^The backup has \d+ tables: .*app\.orders/),
    });
  }
  expect(await refusal({ tables: ['orders'] })).toMatchObject({ code: 'usage.invalid' });
  expect(await refusal({ tables: ['app.big'] })).toMatchObject({
    message: expect.stringContaining('but a view'),
  });

  // A server that lacks roles and a locale.
  const settings = JSON.parse(readFileSync(backup.path('settings.json'), 'utf8'));
  const elsewhere = await backup.with(
    'settings.json',
    JSON.stringify({ ...settings, owner: 'no such\nrole', collate: 'xx_YY.UTF-8' }),
  );
  try {
    const error = (await prepareRestore(setupFor(server.url), request(elsewhere), testContext()).catch(
      (thrown: unknown) => thrown,
    )) as Error & { hint: string };
    expect(error).toMatchObject({ code: 'restore.roles-missing' });
    expect(error.message).toContain('"no such\\nrole"');
    expect(error.message).toContain('lacks the locale xx_YY.UTF-8');
    expect(error.hint).toContain('@globals');
  } finally {
    await elsewhere.remove();
  }
  expect(await databases()).toEqual(before);
});

test('rows that are not those of the fingerprint leave nothing behind', async () => {
  const fingerprint = JSON.parse(readFileSync(backup.path('fingerprint.json'), 'utf8'));
  fingerprint.tables.find((table: { name: string }) => table.name === 'orders').rows = 3001;
  const wrong = await backup.with('fingerprint.json', JSON.stringify(fingerprint));
  const before = await databases();
  try {
    await expect(restore(setupFor(server.url), request(wrong, { replace: true }))).rejects.toMatchObject({
      code: 'restore.mismatch', message: expect.stringMatching(/app\.orders: 3000 rows, the backup has 3001[^]*Nothing of it was left behind/),
    }); // prettier-ignore
  } finally {
    await wrong.remove();
  }
  expect(await databases()).toEqual(before);
  const changed = fingerprint.tables.find((table: { name: string }) => table.name === 'customers');
  changed.hash = 'md5-sum:1:2';
  fingerprint.tables.find((table: { name: string }) => table.name === 'orders').rows = 3000;
  const content = await backup.with('fingerprint.json', JSON.stringify(fingerprint));
  try {
    await expect(restore(setupFor(server.url), request(content))).rejects.toMatchObject({
      message: expect.stringContaining('their contents differ'),
    });
  } finally {
    await content.remove();
  }
  expect(await databases()).toEqual(before);
});

test('a restore that fails says why once: in its error, and not in the log too', async () => {
  const before = await databases();
  await sql('postgres', 'CREATE DATABASE faulty');
  const context = testContext();
  try {
    await sql(
      'faulty',
      `CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE TABLE t AS SELECT 1 AS n; CREATE INDEX ON t (f(n));
       CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$`,
    );
    const faulty = await backUp(server.url, database('faulty'));
    const error = await restore(setupFor(server.url), request(faulty, { jobs: 1 }), context).catch(
      (thrown: unknown) => thrown,
    );
    await faulty.remove();
    const { message } = error as Error;
    expect(message).toMatch(
      /ERROR: {2}on purpose\n[^]*CREATE INDEX [^]*;\n+Nothing of it was left behind, and nothing else was changed\.$/,
    );
    expect(message.match(/on purpose/g)).toHaveLength(1);
    expect(JSON.stringify(context.entries)).not.toContain('on purpose');
  } finally {
    await sql('postgres', 'DROP DATABASE faulty');
  }
  expect(await databases()).toEqual(before);
});

test('a row that the server refuses is named by table and line, and its values are repeated nowhere', async () => {
  await sql('postgres', 'CREATE DATABASE faulty');
  const context = testContext();
  try {
    await sql(
      'faulty',
      `CREATE TABLE t (v text CONSTRAINT only_here CHECK (current_database() = 'faulty')); INSERT INTO t VALUES ('fine'), (E'row-\\nrow-value')`,
    );
    const faulty = await backUp(server.url, database('faulty'));
    for (const jobs of [1, 2]) {
      const error = await restore(setupFor(server.url), request(faulty, { jobs }), context).catch(
        (thrown: unknown) => thrown,
      );
      const { message } = error as Error;
      expect(message).toContain('"only_here"');
      expect(message).toMatch(/COPY t, line 1$/m);
      expect(message + JSON.stringify(context.entries)).not.toMatch(/fine|row-|Failing row/);
    }
    await faulty.remove();
  } finally {
    await sql('postgres', 'DROP DATABASE faulty');
  }
});

test('an archive that breaks off, or an abort, leaves nothing behind', async () => {
  const before = await databases();
  const whole = readFileSync(backup.path('database.dump'));
  const cut = await backup.with('database.dump', whole.subarray(0, whole.length - 2000));
  try {
    await expect(restore(setupFor(server.url), request(cut))).rejects.toMatchObject({
      code: 'restore.failed',
    });
  } finally {
    await cut.remove();
  }
  expect(await databases()).toEqual(before);

  for (const at of [
    'create the database',
    'restore the data',
    'compare with the fingerprint',
    'give it its name',
  ]) {
    const context = testContext();
    const wanted = request(backup);
    const aborting = {
      ...wanted,
      step: <T>(name: string, work: () => Promise<T>): Promise<T> => {
        if (name === 'restore the data' && name === at) setTimeout(() => context.abort(), 60);
        else if (name === at) context.abort();
        return work();
      },
    };
    await expect(restore(setupFor(server.url), aborting, context)).rejects.toMatchObject({
      code: 'aborted',
    });
    expect(await databases()).toEqual(before);
  }
  const sessions = await sql(
    'postgres',
    `SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'pgsilo%'`,
  );
  expect(sessions).toEqual([]);
});
