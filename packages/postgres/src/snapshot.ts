import { isPgsiloError, PgsiloError, type UnitFacts } from '@pgsilo/plugin';
import { sqlState } from './postgres-error.ts';
import { quoteIdentifier, quoteLiteral, showName } from './quoting.ts';
import type { Session } from './session.ts';

/** The state of a database that dump, fingerprint and settings are all taken of. Ends with the session's transaction. */
export interface Snapshot {
  /** What pg_dump imports. */
  readonly id: string;
  readonly facts: Pick<UnitFacts, 'snapshotAt' | 'server' | 'lsn'>;
}

interface SnapshotRow {
  readonly id: string;
  readonly at: string;
  readonly lsn: string | null;
  readonly system: string | null;
}

const tablesInLock = 200;

/** Opens the transaction whose snapshot everything shares. */
export async function takeSnapshot(session: Session): Promise<Snapshot> {
  await session.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
  // Counting keeps pace with pg_dump on one processor of the server; the others are the application's.
  await session.query('SET LOCAL max_parallel_workers_per_gather = 0');
  const [row] = await session.query<SnapshotRow>(
    `SELECT pg_export_snapshot() AS id,
            to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
            (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text AS lsn,
            CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
                 THEN (SELECT system_identifier::text FROM pg_control_system()) END AS system`,
  );
  const { id, at, lsn, system } = row!;
  const server = { version: session.serverVersion, ...(system === null ? {} : { systemIdentifier: system }) };
  return { id, facts: { snapshotAt: at, server, ...(lsn === null ? {} : { lsn }) } };
}

/** Opens a transaction of another session that sees what `snapshot` does. Throws where the session that took it has ended. */
export async function joinSnapshot(session: Session, snapshot: Snapshot): Promise<void> {
  await session.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await session.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot.id)}`);
  await session.query('SET LOCAL max_parallel_workers_per_gather = 0');
}

/**
 * Locks all tables as pg_dump will (ACCESS SHARE), and before it does. pg_dump gives its locks back when it ends, which for a small database is long before its tables are counted,
 * and TRUNCATE respects no snapshot: a table emptied in between would be counted as empty although the archive holds its rows.
 * @param schemas those that pg_dump is told to dump; undefined: all.
 */
export async function lockTables(
  session: Session,
  timeout: number,
  schemas?: readonly string[],
): Promise<void> {
  const rows = await ownTables(session, schemas);
  await session.query(`SET LOCAL lock_timeout = ${Math.ceil(timeout)}`);
  for (let from = 0; from < rows.length; from += tablesInLock) {
    const tables = rows
      .slice(from, from + tablesInLock)
      .map((row) => `ONLY ${quoteIdentifier(row.schema)}.${quoteIdentifier(row.name)}`);
    try {
      await session.query(`LOCK TABLE ${tables.join(', ')} IN ACCESS SHARE MODE`);
    } catch (error) {
      // Undefined table: dropped since the snapshot was taken.
      const state = isPgsiloError(error) ? sqlState(error.cause) : undefined;
      if (state !== '42P01' && state !== '3F000') throw error;
      throw new PgsiloError(
        'source.incomplete',
        `a table of ${session.database} was dropped while its snapshot was taken`,
        { cause: error },
      );
    }
  }
}

/**
 * Throws `source.incomplete` where a table was written anew after the snapshot was taken and before it was locked: TRUNCATE respects no snapshot, and whoever reads the table
 * later finds it empty. What keeps its rows (VACUUM FULL, CLUSTER) looks the same from here, and is refused too.
 * @param schemas as in {@link lockTables}
 */
export async function requireUntouched(session: Session, schemas?: readonly string[]): Promise<void> {
  const [first] = await session.query<{ schema: string; name: string }>(
    // The catalog's row is the snapshot's; the function looks at what there is now.
    `SELECT n.nspname::text AS schema, c.relname::text AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        AND ($1::text[] IS NULL OR n.nspname = ANY ($1)) AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode
      ORDER BY 1, 2 LIMIT 1`,
    [schemas ?? null],
  );
  if (!first) return;
  throw new PgsiloError(
    'source.incomplete',
    `table ${showName(first.schema)}.${showName(first.name)} was emptied or written anew (TRUNCATE, ALTER TABLE, VACUUM FULL) after the snapshot of this run was taken`,
    { hint: 'Run the backup again.' },
  );
}

/** The tables of the database's users. Throws PostgreSQL's 22021 where a name is no text. */
export async function ownTables(
  session: Session,
  schemas?: readonly string[],
): Promise<readonly { readonly schema: string; readonly name: string }[]> {
  return session.query<{ schema: string; name: string }>(
    `SELECT n.nspname::text AS schema, c.relname::text AS name
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
        AND has_table_privilege(c.oid, 'SELECT') AND ($1::text[] IS NULL OR n.nspname = ANY ($1))
      ORDER BY c.oid`,
    [schemas ?? null],
  );
}
