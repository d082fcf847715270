import { afterAll, beforeAll, expect, test } from 'vitest';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { options } from '../src/options.ts';
import { backUp, database, request, restore, setupFor, type TestBackup } from './backups.ts';
import { sql } from './fixture.ts';

let server: SharedPostgres;
let fresh: FreshDatabase;
beforeAll(async () => {
  server = await sharedPostgres();
  fresh = await server.freshDatabase('excluded');
  await fresh.query(`
    CREATE SCHEMA audit; CREATE SCHEMA "Odd.schema";
    CREATE TABLE audit.log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text); INSERT INTO audit.log (text) VALUES ('a'), ('b');
    CREATE TABLE audit.log_more AS SELECT 1 AS n; CREATE VIEW audit.log_view AS SELECT 1 AS n;
    CREATE MATERIALIZED VIEW audit.log_counts AS SELECT count(*) AS n FROM audit.log_more;
    CREATE TABLE "Odd.schema"."LOG*" AS SELECT 1 AS n; CREATE TABLE "Odd.schema"."LOGS" AS SELECT 1 AS n; CREATE TABLE "Odd.schema"."log*" AS SELECT 1 AS n;
    CREATE TABLE events (at date, n int) PARTITION BY RANGE (at);
    CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY RANGE (at);
    CREATE TABLE other PARTITION OF events_2025 FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
    INSERT INTO events VALUES ('2025-02-01', 1);
    CREATE TABLE kept AS SELECT 1 AS n; CREATE TABLE refers (log int REFERENCES audit.log); INSERT INTO refers VALUES (1)`);
});
afterAll(() => fresh?.drop());

const patterns = ['audit.log*', '"Odd.schema"."LOG*"', 'public.event?', 'public.refers', 'nowhere.*'];

test('rows of tables that a pattern fits are left out, all else is as it was, and the restore says which', async () => {
  const backup: TestBackup = await backUp(server.url, database(fresh.name), undefined, {
    excludeTableData: patterns,
    fingerprint: 'content',
  });
  try {
    expect(backup.facts.about).toMatchObject({ excludeTableData: patterns, tables: 3, rows: 3 });
    const { target, warnings, compared } = await restore(setupFor(server.url), request(backup));
    try {
      expect(compared).toContain('3 tables, 3 rows, 1 sequence');
      expect(warnings).toEqual([
        `5 tables come back empty, because the backup leaves out their rows: "Odd.schema"."LOG*", audit.log, audit.log_more, public.other, public.refers`,
      ]);
      const counts = await sql(
        server.url,
        target,
        `SELECT (SELECT count(*)::int FROM audit.log) AS log, (SELECT count(*)::int FROM audit.log_more) AS more, (SELECT count(*)::int FROM events) AS events,
           (SELECT count(*)::int FROM kept) AS kept, (SELECT count(*)::int FROM "Odd.schema"."LOGS") AS logs, (SELECT count(*)::int FROM "Odd.schema"."log*") AS lower,
           (SELECT count(*)::int FROM "Odd.schema"."LOG*") AS upper, (SELECT n::int FROM audit.log_counts) AS counted, nextval('audit.log_id_seq')::int AS next`,
      );
      expect(counts).toEqual([
        { log: 0, more: 0, events: 0, kept: 1, logs: 1, lower: 1, upper: 0, counted: 0, next: 3 },
      ]);
    } finally {
      await sql(server.url, 'postgres', `DROP DATABASE "${target}"`);
    }
    const single = await restore(
      setupFor(server.url),
      request(backup, { tables: ['public.kept', 'audit.log'] }),
    );
    await sql(server.url, 'postgres', `DROP DATABASE "${single.target}"`);
    expect(single.warnings).toEqual([
      'a table comes back empty, because the backup leaves out its rows: audit.log',
    ]);
  } finally {
    await backup.remove();
  }
});

test('rows that others refer to are not left out alone', async () => {
  const lacking = backUp(server.url, database(fresh.name), undefined, { excludeTableData: ['audit.log'] });
  await expect(lacking).rejects.toMatchObject({
    code: 'source.failed',
    message: expect.stringContaining('public.refers to audit.log (refers_log_fkey)'),
  });
});

test('what is no schema and table is refused when the file is read', () => {
  for (const bad of ['log', 'a.b.c', '"a.b', 'a.', 'a.[']) {
    const parsed = options.safeParse({ connection: 'service=x', match: '*', excludeTableData: ['a.b', bad] });
    expect(parsed.error?.issues).toMatchObject([{ path: ['excludeTableData', 1] }]);
  }
});
