import { throwIfAborted, type Context } from '@pgsilo/plugin';
import { quoteIdentifier } from './quoting.ts';
import type { Session } from './session.ts';

/** A table to count, and to hash when `hashed`. */
export interface TableToCount {
  readonly schema: string;
  readonly name: string;
  /** The extension's `WHERE …` for rows of its configuration table. */
  readonly condition?: string | undefined;
}

export interface CountedTable {
  /** As PostgreSQL prints a bigint. */
  readonly rows: string;
  readonly hash?: string;
}

/** Bounds of one statement: a count of a hundred small tables costs less than its round trip, and a parser has a stack. */
const tablesInStatement = 100;
const charactersInStatement = 60_000;

/**
 * Settings under which a row has one text, wherever and by whomever it is read. `search_path` decides how regclass and its kin print,
 * `lc_monetary` how money does. `row_security = off` makes the server refuse rather than leave out rows.
 */
const fixedSettings = [
  "SET LOCAL row_security = 'off'",
  "SET LOCAL search_path = 'pg_catalog'",
  'SET LOCAL "DateStyle" = \'ISO, YMD\'',
  'SET LOCAL "IntervalStyle" = \'postgres\'',
  'SET LOCAL "TimeZone" = \'UTC\'',
  'SET LOCAL extra_float_digits = 3',
  "SET LOCAL bytea_output = 'hex'",
  "SET LOCAL xmloption = 'content'",
  "SET LOCAL xmlbinary = 'base64'",
  "SET LOCAL lc_monetary = 'C'",
  'SET LOCAL quote_all_identifiers = off',
  'SET LOCAL statement_timeout = 0',
].join('; ');

/** Fixes how values print until the transaction ends. Must run inside one. */
export async function fixOutput(session: Session): Promise<void> {
  await session.query(fixedSettings);
}

/**
 * Exact counts, and hashes if asked for, in the order of `tables`. Runs in the caller's transaction and sees its snapshot.
 * Each table is counted alone (ONLY): partitions and children count themselves, as pg_dump writes them.
 */
export async function countTables(
  session: Session,
  tables: readonly TableToCount[],
  hashed: boolean,
  context: Pick<Context, 'signal'>,
): Promise<readonly CountedTable[]> {
  const columns = hashed ? await hashedColumns(session, tables) : undefined;
  const counted: CountedTable[] = [];
  let parts: string[] = [];
  let characters = 0;
  const flush = async (): Promise<void> => {
    if (parts.length === 0) return;
    throwIfAborted(context.signal);
    const rows = await session.query<{ at: number; rows: string; a: string | null; b: string | null }>(
      parts.join(' UNION ALL '),
    );
    if (rows.length !== parts.length)
      throw new Error(`${parts.length} tables were counted, ${rows.length} answers came`);
    const first = counted.length;
    for (const row of rows) {
      counted[first + Number(row.at)] = {
        rows: String(row.rows),
        ...(hashed ? { hash: `md5-sum:${row.a ?? 0}:${row.b ?? 0}` } : {}),
      };
    }
    parts = [];
    characters = 0;
  };
  for (const [index, table] of tables.entries()) {
    const part = columns ? hashQuery(parts.length, table, columns[index]!) : countQuery(parts.length, table);
    parts.push(part);
    characters += part.length;
    // A content hash reads everything anyway; alone in its statement it can be cancelled between tables.
    if (hashed || parts.length >= tablesInStatement || characters >= charactersInStatement) await flush();
  }
  await flush();
  return counted;
}

function countQuery(at: number, table: TableToCount): string {
  return `SELECT ${at} AS at, count(*)::text AS rows, NULL::text AS a, NULL::text AS b FROM ${relation(table)}`;
}

/**
 * Independent of the rows' order: each row's text is hashed, the halves of the hashes are summed as numerics (a XOR would lose equal pairs).
 * OFFSET 0 keeps the planner from computing the hash once for each half.
 */
function hashQuery(at: number, table: TableToCount, columns: readonly string[]): string {
  const row = `ROW(${columns.map((column) => `t.${quoteIdentifier(column)}`).join(', ')})::text`;
  return (
    `SELECT ${at} AS at, count(*)::text AS rows, ` +
    "sum(('x' || substr(h, 1, 16))::bit(64)::bigint)::text AS a, sum(('x' || substr(h, 17, 16))::bit(64)::bigint)::text AS b " +
    `FROM (SELECT md5(${row}) AS h FROM ${relation(table, 't')} OFFSET 0) AS hashed`
  );
}

/** With a condition pg_dump reads children too; it pastes the extension's text after the table's name, and so does this. */
function relation(table: TableToCount, alias?: string): string {
  const name = `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`;
  const as = alias ? ` AS ${alias}` : '';
  return table.condition
    ? `(SELECT * FROM ${name} ${table.condition}) AS ${alias ?? 'filtered'}`
    : `ONLY ${name}${as}`;
}

/**
 * The columns whose values the archive holds, by name: not dropped, not generated (the server computes those again).
 * Sorted by bytes, because a restored table may have them in another order.
 */
async function hashedColumns(
  session: Session,
  tables: readonly TableToCount[],
): Promise<readonly (readonly string[])[]> {
  const found: string[][] = [];
  for (let from = 0; from < tables.length; from += 1000) {
    const slice = tables.slice(from, from + 1000);
    const rows = await session.query<{ at: string; columns: string[] | null }>(
      `SELECT w.at::text AS at, (
         SELECT array_agg(a.attname::text ORDER BY a.attname COLLATE "C") FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns
       FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema, name, at)
       JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name`,
      [slice.map((each) => each.schema), slice.map((each) => each.name)],
    );
    for (const row of rows) found[from + Number(row.at) - 1] = row.columns ?? [];
  }
  return tables.map((_, index) => found[index] ?? []);
}

/** `schema.name` → the condition under which pg_dump dumps rows of an extension's configuration table; empty: all of them. */
export async function extensionConditions(session: Session): Promise<ReadonlyMap<string, string>> {
  const rows = await session.query<{ schema: string; name: string; condition: string | null }>(
    `SELECT n.nspname::text AS schema, c.relname::text AS name, w.condition
     FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS w(relation, condition)
     JOIN pg_class c ON c.oid = w.relation JOIN pg_namespace n ON n.oid = c.relnamespace`,
  );
  return new Map(rows.map((row) => [tableKey(row), row.condition ?? '']));
}

/** A key for maps: no name holds NUL. */
export function tableKey(table: { readonly schema: string; readonly name: string }): string {
  return `${table.schema}\0${table.name}`;
}
