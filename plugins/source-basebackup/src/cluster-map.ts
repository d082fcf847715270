import { PgsiloError, throwIfAborted, type ReadContext } from '@pgsilo/plugin';
import { openSession, showName, type Session } from '@pgsilo/postgres';
import type { ClusterDatabase, ClusterTablespace } from './cluster-file.ts';

interface DatabaseRow {
  readonly oid: string;
  readonly name: string;
  readonly tablespace: string;
  readonly readable: boolean;
}

/** Names of what lies in the files, which no file but the catalog's own tells: a database that is dropped later has no row there. */
export interface ClusterMap {
  readonly databases: readonly DatabaseRow[];
  readonly tablespaces: readonly ClusterTablespace[];
}

/** Databases that are connected to at once. */
const atOnce = 4;

export async function readClusterMap(session: Session): Promise<ClusterMap> {
  const databases = await session.query<DatabaseRow>(
    `SELECT oid::text, datname::text AS name, dattablespace::text AS tablespace,
            datallowconn AND datconnlimit <> -2 AND has_database_privilege(oid, 'CONNECT') AS readable
       FROM pg_database ORDER BY pg_database.oid`,
  );
  const tablespaces = await session.query<ClusterTablespace>(
    `SELECT oid::text, spcname::text AS name, pg_tablespace_location(oid) AS location
       FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY pg_tablespace.oid`,
  );
  return { databases, tablespaces };
}

/** The names at the end of the backup, which is the state that it holds; of what was dropped meanwhile, those at its beginning. */
export function mergeMaps(before: ClusterMap, after: ClusterMap): readonly ClusterDatabase[] {
  const there = new Set(after.databases.map(({ oid }) => oid));
  const dropped = before.databases.filter(({ oid }) => !there.has(oid));
  return [
    ...after.databases.map(plain),
    ...dropped.map((row) => ({ ...plain(row), dropped: true as const })),
  ].sort((a, b) => Number(a.oid) - Number(b.oid));
}

function plain({ oid, name, tablespace }: DatabaseRow): ClusterDatabase {
  return { oid, name, tablespace };
}

/** Folders of the tablespaces that were sent, with their names where they are known. */
export function tablespacesSent(
  sent: ReadonlyMap<string, string>,
  ...maps: readonly ClusterMap[]
): readonly ClusterTablespace[] {
  const names = new Map(
    maps.flatMap(({ tablespaces }) => tablespaces.map(({ oid, name }) => [oid, name] as const)),
  );
  return [...sent].map(([oid, location]) => {
    const name = names.get(oid);
    return { oid, location, ...(name === undefined ? {} : { name }) };
  });
}

/**
 * Schemas of each database that may be connected to, without the system's own, by the database's OID. One that cannot be read is left out, with a warning: it may have been dropped a moment ago.
 */
export async function readSchemas(
  session: Session,
  databases: readonly DatabaseRow[],
  applicationName: string,
  context: Pick<ReadContext, 'log' | 'signal'>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  const waiting = databases.filter(({ readable }) => readable).reverse();
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      throwIfAborted(context.signal);
      try {
        found.set(next.oid, await schemasOf(session, next.name, applicationName, context.signal));
      } catch (error) {
        throwIfAborted(context.signal);
        context.log.warn(
          `the schemas of database ${showName(next.name)} are not known: ${(error as Error).message}`,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return found;
}

async function schemasOf(
  { settings }: Session,
  database: string,
  applicationName: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const purpose = `list the schemas of ${showName(database)}`;
  const session = await openSession(settings, { database, applicationName, purpose, signal });
  try {
    const rows = await session.query<{ name: string }>(
      `SELECT nspname::text AS name FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' ORDER BY 1`,
    );
    return rows.map(({ name }) => name);
  } finally {
    await session.close();
  }
}

/** Oldest server whose messages are understood. */
const oldest = 15;

/** Throws `source.failed` for a server whose base backups come otherwise. */
export function requireVersion({ major, serverVersion }: Session): void {
  if (major >= oldest) return;
  throw new PgsiloError(
    'source.failed',
    `base backups take PostgreSQL ${oldest} or later, and the server is ${serverVersion}`,
    { hint: 'Use database-per-tenant with match: "*", or dumpall, or upgrade the server.' },
  );
}
