import { PgsiloError } from '@pgsilo/plugin';
import {
  isTable,
  quoteIdentifier,
  showTable,
  type Session,
  type TableName,
  type Toc,
  listed,
} from '@pgsilo/postgres';
import { tablePattern } from './table-patterns.ts';

/**
 * The tables whose rows `excludeTableData` leaves out, in the session's snapshot: those that a pattern fits, and the partitions of these. Never sequences or views.
 * Throws `source.failed` where rows that are kept refer to rows that are not: their foreign key could not be restored.
 */
export async function tablesWithoutData(
  session: Session,
  patterns: readonly string[],
): Promise<readonly TableName[]> {
  if (patterns.length === 0) return [];
  const matchers = patterns.map(tablePattern);
  const rows = await session.query<TableName & { oid: number; parent: number | null; partitioned: boolean }>(
    `SELECT c.oid::int8::float8 AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'p' AS partitioned,
            CASE WHEN c.relispartition THEN (SELECT inhparent::int8::float8 FROM pg_inherits WHERE inhrelid = c.oid) END AS parent
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`,
  );
  const left = new Set(rows.filter((row) => matchers.some((matches) => matches(row))).map((row) => row.oid));
  for (let before = -1; before !== left.size;) {
    before = left.size;
    for (const row of rows) if (row.parent !== null && left.has(row.parent)) left.add(row.oid);
  }
  const tables = rows.filter((row) => left.has(row.oid));
  await refuseDangling(
    session,
    tables.map((row) => row.oid),
  );
  return tables.filter((row) => !row.partitioned).map(({ schema, name }) => ({ schema, name }));
}

async function refuseDangling(session: Session, oids: readonly number[]): Promise<void> {
  const keys = await session.query<{ key: string; schema: string; name: string; of: TableName }>(
    `SELECT k.conname::text AS key, n.nspname::text AS schema, c.relname::text AS name,
            jsonb_build_object('schema', fn.nspname, 'name', f.relname) AS of
       FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
      WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY ($1::float8[]::int8[]::oid[]) AND NOT k.conrelid = ANY ($1::float8[]::int8[]::oid[])
      ORDER BY 2, 3, 1`,
    [oids],
  );
  if (keys.length === 0) return;
  const shown = keys.map(({ key, of, ...table }) => `${showTable(table)} to ${showTable(of)} (${key})`);
  throw new PgsiloError(
    'source.failed',
    `excludeTableData leaves out rows that others refer to, so that the backup could not be restored: ${listed(shown)}`,
    { hint: 'Leave out the rows of the referring tables too, or keep those of both.' },
  );
}

/** Arguments of pg_dump that leave out the rows of these tables. Each is one table: quoted, a pattern of psql means itself. */
export function excludeArguments(tables: readonly TableName[]): readonly string[] {
  return tables.map(
    ({ schema, name }) => `--exclude-table-data=${quoteIdentifier(schema)}.${quoteIdentifier(name)}`,
  );
}

/** Throws `source.incomplete` when the archive holds rows of a table that it should hold none of. */
export function requireWithoutData(toc: Toc, tables: readonly TableName[]): void {
  const without = new Set(tables.map(({ schema, name }) => JSON.stringify([schema, name])));
  const held = toc.entries.filter(
    (entry) => entry.desc === 'TABLE DATA' && without.has(JSON.stringify([entry.namespace, entry.tag])),
  );
  if (held.length === 0) return;
  const names = held.map((entry) => showTable({ schema: entry.namespace!, name: entry.tag }));
  throw new PgsiloError('source.incomplete', `pg_dump did not leave out the rows of ${listed(names)}`);
}

/** What a restore should say of tables that come back empty because the archive holds no rows of theirs. `entries`: those that are restored. */
export function emptyTableWarnings(toc: Toc, entries: Toc['entries']): readonly string[] {
  const withRows = new Set<string>();
  for (const entry of toc.entries)
    if (entry.desc === 'TABLE DATA') withRows.add(JSON.stringify([entry.namespace, entry.tag]));
  const empty = entries.filter(
    (entry) =>
      entry.desc === 'TABLE' &&
      isTable(entry) &&
      // A partitioned table has no rows of its own.
      !/^PARTITION BY (?:RANGE|LIST|HASH) \(/m.test(entry.definition) &&
      !withRows.has(JSON.stringify([entry.namespace, entry.tag])),
  );
  if (empty.length === 0) return [];
  const names = listed(empty.map((entry) => showTable({ schema: entry.namespace!, name: entry.tag })));
  return [
    empty.length === 1
      ? `a table comes back empty, because the backup leaves out its rows: ${names}`
      : `${empty.length} tables come back empty, because the backup leaves out their rows: ${names}`,
  ];
}
