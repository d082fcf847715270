import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { parseTableName } from '@pgsilo/postgres';
import { backUp, database, request, restore, setupFor, type TestBackup } from './backups.ts';
import { databasesOf, sql, textOf } from './servers.ts';

const rich = readFileSync(
  join(dirname(fileURLToPath(import.meta.url)), '../../../packages/postgres/test/fixtures/rich.sql'),
  'utf8',
);
let server: ThrowawayPostgres;
let backup: TestBackup;

beforeAll(async () => {
  server = await startPostgres();
  await sql(server, 'postgres', 'CREATE ROLE rich_owner; CREATE ROLE rich_app; CREATE ROLE "rich reader"');
  await sql(server, 'postgres', 'CREATE DATABASE rich TEMPLATE template0');
  await sql(server, 'rich', rich);
  await sql(
    server,
    'rich',
    `CREATE SCHEMA "ex ts"; CREATE EXTENSION btree_gist SCHEMA "ex ts"; CREATE EXTENSION pg_trgm SCHEMA "ex ts"; CREATE SCHEMA room; SET search_path = "ex ts";
     CREATE TABLE room.booked (room int, valid daterange, EXCLUDE USING gist (room WITH =, valid WITH &&));
     INSERT INTO room.booked VALUES (1, '[2026-01-01,2026-02-01)');
     CREATE TABLE room.named (name text, UNIQUE (name)); CREATE INDEX ON room.named USING gin (name gin_trgm_ops)`,
  );
  backup = await backUp(server.url, database('rich'), undefined, { fingerprint: 'content' });
});

afterAll(async () => {
  await backup?.remove();
  await server?.stop();
});

/** Restores tables, looks at the result, and drops it. */
async function withTables(
  tables: readonly string[],
  look: (name: string, warnings: readonly string[], compared: string) => Promise<void>,
  more: Record<string, unknown> = {},
): Promise<void> {
  const outcome = await restore(setupFor(server.url, more), request(backup, { tables, to: 'some "tables"' }));
  try {
    await look(outcome.target, outcome.warnings, outcome.compared);
  } finally {
    await sql(server, 'postgres', `DROP DATABASE ${pg.escapeIdentifier(outcome.target)}`);
  }
}

const relations = async (name: string): Promise<string[]> =>
  (
    await sql(
      server,
      name,
      `SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    )
  ).map((row) => row.relname);

/** The part of pg_dump's text that is about one table, by the comments in front of each object. */
async function objectsOf(name: string, expression: RegExp): Promise<string[]> {
  // Where these are said depends on what comes next.
  const text = (await textOf(server, name)).replaceAll(/^SET default_.*\n\n/gm, '');
  return text
    .split(/^--\n-- /m)
    .filter((part) => expression.test(part.split('\n')[0]!))
    .sort();
}

test('one table comes with its sequence, indexes, trigger, policies, statistics and grants, and nothing else', async () => {
  await withTables(['app.orders'], async (name, warnings, compared) => {
    expect(await relations(name)).toEqual(['orders', 'orders_id_seq']);
    expect(warnings).toEqual([
      'foreign key orders_customer_fkey of app.orders to app.customers is left out, because that table is not restored',
    ]);
    expect(compared).toBe('1 table, 3,000 rows, 1 sequence, with their contents');
    const about = /Name: (COLUMN |TABLE |FUNCTION )?(orders|touch)/;
    const without = (parts: string[]): string[] =>
      parts.filter((part) => !/Type: (FK CONSTRAINT|PUBLICATION TABLE)/.test(part));
    expect(await objectsOf(name, about)).toEqual(without(await objectsOf('rich', about)));
    expect((await objectsOf(name, about)).length).toBeGreaterThan(15);
  });
});

test('what a table needs comes along: types, domains, extensions, functions, and with both sides the foreign key', async () => {
  await withTables(['app.orders', 'app.customers'], async (name, warnings) => {
    expect(warnings).toEqual([]);
    expect(await relations(name)).toEqual(['customers', 'customers_id_seq', 'orders', 'orders_id_seq']);
    const [keys] = await sql(
      server,
      name,
      "SELECT count(*)::int AS keys FROM pg_constraint WHERE contype = 'f'",
    );
    expect(keys).toEqual({ keys: 1 });
    expect(await sql(server, name, 'SELECT extname FROM pg_extension ORDER BY 1')).toEqual([
      { extname: 'hstore' },
      { extname: 'plpgsql' },
    ]);
    expect(await sql(server, name, 'SELECT id, doubled FROM app.customers WHERE id = 50')).toEqual([
      { id: 50, doubled: 4 },
    ]);
  });
});

test('the extensions come along whose operator classes a constraint or an index stands on, and no others', async () => {
  const extensions = (name: string): Promise<unknown[]> =>
    sql(
      server,
      name,
      'SELECT extname, extnamespace::regnamespace::text AS schema FROM pg_extension ORDER BY 1',
    );
  const plpgsql = { extname: 'plpgsql', schema: 'pg_catalog' };
  await withTables(['room.booked'], async (name, warnings) => {
    expect(warnings).toEqual([]);
    expect(await extensions(name)).toEqual([{ extname: 'btree_gist', schema: '"ex ts"' }, plpgsql]);
    await expect(
      sql(server, name, `INSERT INTO room.booked VALUES (1, '[2026-01-15,2026-03-01)')`),
    ).rejects.toThrow(/exclusion/);
  });
  await withTables(['room.named'], async (name) => {
    expect(await extensions(name)).toEqual([{ extname: 'pg_trgm', schema: '"ex ts"' }, plpgsql]);
  });
});

test('a partitioned table comes with its partitions, a partition alone as a table of its own', async () => {
  await withTables(['app.events'], async (name, warnings) => {
    expect(warnings).toEqual([]);
    expect(await relations(name)).toEqual(['events', 'events_2026', 'events_rest']);
    expect(await sql(server, name, 'SELECT count(*)::int AS rows FROM app.events')).toEqual([{ rows: 500 }]);
    const about = /Name: events/;
    expect(await objectsOf(name, about)).toEqual(await objectsOf('rich', about));
  });
  await withTables(['app.events_2026'], async (name, warnings) => {
    expect(warnings).toEqual(['table app.events_2026 was a partition and comes as a table of its own']);
    expect(await relations(name)).toEqual(['events_2026']);
    expect(
      await sql(
        server,
        name,
        "SELECT count(*)::int AS indexes FROM pg_index WHERE indrelid = 'app.events_2026'::regclass",
      ),
    ).toEqual([{ indexes: 2 }]);
  });
});

test('a child of another table brings its parent without rows, and says so', async () => {
  await withTables(['app.child'], async (name, warnings) => {
    expect(warnings).toEqual(['table app.base comes without its rows, because others are built upon it']);
    expect(await sql(server, name, 'SELECT a, b FROM app.base LEFT JOIN app.child USING (a)')).toEqual([
      { a: 3, b: 4 },
    ]);
  });
});

test('names with dots, quotes and newlines are found as they are', async () => {
  await withTables([`"We""ird schema"."ta'b le\nx"`], async (name) => {
    expect(await relations(name)).toEqual(["ta'b le\nx"]);
  });
  expect(parseTableName('"a.b"."c""d"')).toEqual({ schema: 'a.b', name: 'c"d' });
  expect(parseTableName('Public.Orders')).toEqual({ schema: 'Public', name: 'Orders' });
  for (const bad of ['', 'a', 'a.', '.a', 'a.b.c', '"a.b', 'a."b', 'a"b.c'])
    expect(() => parseTableName(bad)).toThrow(/schema\.table/);
});

test('a program that runs elsewhere gets an archive of the chosen entries alone', async () => {
  // `env` stands for docker exec, kubectl exec or ssh: another process starts pg_restore, and no file of ours may be named.
  await withTables(['app.orders'], async (name) => {
    expect(await relations(name)).toEqual(['orders', 'orders_id_seq']);
  }, { exec: ['env'], execHost: server.host, execPort: server.port }); // prettier-ignore
  expect(await databasesOf(server)).toEqual(['postgres', 'rich']);
});
