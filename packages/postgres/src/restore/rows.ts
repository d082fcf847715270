import { PgsiloError, type Context, type RowConflict } from '@pgsilo/plugin';
import { quoteIdentifier, showName } from '../quoting.ts';
import { copyIn, copyOut } from '../raw-query.ts';
import type { Session } from '../session.ts';
import { listed } from './problems.ts';

export interface RowsTable {
  readonly schema: string;
  readonly name: string;
  /** SQL of the person who restores, run read-only in the copy; undefined: all rows. */
  readonly where: string | undefined;
}

/** What can be moved of a table, from how it is in the copy and how it is live. */
export interface RowsPlan {
  readonly table: RowsTable;
  /** In both, and not generated. */
  readonly columns: readonly string[];
  /** The live table's primary key; empty: it has none. */
  readonly key: readonly string[];
  /** Those that a row which is there can be given: not its key, nor what only the server numbers. */
  readonly settable: readonly string[];
  readonly warnings: readonly string[];
}

export interface RowsCounted {
  readonly inserted: number;
  readonly replaced: number;
  readonly skipped: number;
}

interface Column {
  readonly name: string;
  readonly generated: boolean;
  readonly numbered: boolean;
  readonly key: boolean;
}

const staging = 'pg_temp.pgsilo_rows';

/** Looks at both ends of a table. Throws `restore.no-match` where one of them is not there, `restore.refused` where rows cannot be moved. */
export async function planRows(
  copy: Session,
  live: Session,
  table: RowsTable,
  onConflict: RowConflict,
): Promise<RowsPlan> {
  const shown = `${showName(table.schema)}.${showName(table.name)}`;
  const from = await columnsOf(copy, table);
  const to = await columnsOf(live, table);
  if (from.length === 0) throw new PgsiloError('restore.no-match', `the backup has no table ${shown}`);
  if (to.length === 0)
    throw new PgsiloError('restore.no-match', `database ${showName(live.database)} has no table ${shown}`, {
      hint: 'Restore it with the whole schema, into a new database or under another name.',
    });
  const there = new Map(to.map((column) => [column.name, column]));
  const columns = from.filter(({ name, generated }) => !generated && there.get(name)?.generated === false);
  const lost = from.filter(({ name, generated }) => !generated && !there.has(name));
  const key = to.filter((column) => column.key).map(({ name }) => name);
  const unkeyed = key.filter((name) => !columns.some((column) => column.name === name));
  if (onConflict === 'replace' && (key.length === 0 || unkeyed.length > 0))
    throw new PgsiloError(
      'restore.refused',
      `table ${shown} has no primary key in both, by which a row could be replaced`,
      {
        hint: 'Use --on-conflict skip or fail.',
      },
    );
  const fixed = columns.filter(({ name }) => there.get(name)!.numbered && !key.includes(name));
  return {
    table,
    columns: columns.map(({ name }) => name),
    key,
    settable: columns
      .map(({ name }) => name)
      .filter((name) => !key.includes(name) && !there.get(name)!.numbered),
    warnings: [
      ...(lost.length > 0
        ? [
            `table ${shown} no longer has columns of the backup, whose values are left out: ${listed(lost.map(({ name }) => showName(name)))}`,
          ]
        : []),
      ...(onConflict === 'replace' && fixed.length > 0
        ? [
            `columns that only the server numbers keep their values in rows that are replaced: ${listed(fixed.map(({ name }) => showName(name)))}`,
          ]
        : []),
    ],
  };
}

/** What to read for the rows of a table itself: those of tables that inherit from it are theirs, those of a partitioned table lie in its partitions. */
export async function ownRowsOf(
  session: Session,
  table: Pick<RowsTable, 'schema' | 'name'>,
): Promise<string> {
  const [row] = await session.query<{ partitioned: boolean }>(
    `SELECT c.relkind = 'p' AS partitioned FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`,
    [table.schema, table.name],
  );
  return row?.partitioned ? relation(table) : `ONLY ${relation(table)}`;
}

/** How many rows the condition finds in the copy. Throws `usage.invalid` when it is no condition. */
export async function countRows(copy: Session, table: RowsTable): Promise<number> {
  const from = await ownRowsOf(copy, table);
  await copy.query('BEGIN READ ONLY');
  try {
    await copy.query(`SET LOCAL search_path = ${quoteIdentifier(table.schema)}, public`);
    // With a parameter it is one statement for the server, whatever is written in it.
    const [row] = await copy.query<{ count: string }>(
      `SELECT count(*)::text AS count FROM ${from} WHERE (${table.where ?? 'true'}\n) AND $1::pg_catalog.bool`,
      [true],
    );
    return Number(row!.count);
  } catch (error) {
    if (table.where === undefined) throw error;
    throw new PgsiloError(
      'usage.invalid',
      `the rows of ${showName(table.name)} cannot be chosen by ${JSON.stringify(table.where)}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  } finally {
    await copy.query('ROLLBACK').catch(() => undefined);
  }
}

/**
 * Moves the rows that {@link countRows} has counted into the live table, in the transaction that `live` is in. The condition runs in the copy, read-only; what reaches the live table is data.
 * Triggers, foreign keys and constraints of the live table hold as for any INSERT.
 */
export async function moveRows(
  copy: Session,
  live: Session,
  plan: RowsPlan,
  onConflict: RowConflict,
  context: Pick<Context, 'signal'>,
): Promise<RowsCounted> {
  const { table, key, settable } = plan;
  const columns = plan.columns.map(quoteIdentifier).join(', ');
  const doing = `rows of table ${showName(table.name)}`;
  await live.query(
    `CREATE TEMPORARY TABLE pgsilo_rows ON COMMIT DROP AS SELECT ${columns} FROM ${relation(table)} WITH NO DATA`,
  );
  const [from, there] = [await ownRowsOf(copy, table), await ownRowsOf(live, table)];
  await copy.query('BEGIN READ ONLY');
  await copy.query(`SET LOCAL search_path = ${quoteIdentifier(table.schema)}, public`);
  const chosen = `SELECT ${columns} FROM ${from} WHERE (${table.where ?? 'true'}\n)`;
  const rows = copyOut(copy, `COPY (${chosen}) TO STDOUT`, doing, context.signal);
  await copyIn(live, `COPY ${staging} (${columns}) FROM STDIN`, rows, doing, context.signal);
  await copy.query('ROLLBACK');
  const keys = key.map(quoteIdentifier).join(', ');
  const set = settable
    .map((name) => `${quoteIdentifier(name)} = excluded.${quoteIdentifier(name)}`)
    .join(', ');
  const replaces = onConflict === 'replace' && set !== '';
  const clause = replaces
    ? `ON CONFLICT (${keys}) DO UPDATE SET ${set}`
    : { fail: '', skip: 'ON CONFLICT DO NOTHING', replace: `ON CONFLICT (${keys}) DO NOTHING` }[onConflict];
  // All parts of a statement see the table as it was before it.
  const [done] = await live.query<{ total: string; there: string; done: string }>(
    `WITH done AS (
       INSERT INTO ${relation(table)} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${staging} ${clause} RETURNING 1
     ) SELECT (SELECT count(*) FROM ${staging})::text AS total, (SELECT count(*) FROM done)::text AS done,
              ${replaces ? `(SELECT count(*) FROM ${staging} JOIN ${there} USING (${keys}))` : '0'}::text AS there`,
  );
  await live.query(`DROP TABLE ${staging}`);
  const replaced = Number(done!.there);
  return {
    inserted: Number(done!.done) - replaced,
    replaced,
    skipped: Number(done!.total) - Number(done!.done),
  };
}

function relation({ schema, name }: Pick<RowsTable, 'schema' | 'name'>): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

async function columnsOf(session: Session, { schema, name }: RowsTable): Promise<readonly Column[]> {
  return await session.query<Column>(
    `SELECT a.attname::text AS name, a.attgenerated <> '' AS generated, a.attidentity = 'a' AS numbered,
            coalesce(a.attnum = ANY (k.conkey), false) AS key
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
      WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [schema, name],
  );
}
