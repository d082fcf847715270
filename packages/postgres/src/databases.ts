import { PgsiloError, throwIfAborted, type Context } from '@pgsilo/plugin';
import { showName } from './quoting.ts';
import type { Session } from './session.ts';

/** A row of pg_database. */
export interface Database {
  readonly name: string;
  readonly isTemplate: boolean;
  readonly allowsConnections: boolean;
  /** -2: DROP DATABASE was interrupted, and nothing can be done with it but to drop it. */
  readonly connectionLimit: number;
}

/** All databases of the server, by name. */
export async function listDatabases(session: Session): Promise<Map<string, Database>> {
  const rows = await session.query<Database>(
    `SELECT datname::text AS name, datistemplate AS "isTemplate", datallowconn AS "allowsConnections", datconnlimit AS "connectionLimit"
       FROM pg_database ORDER BY datname`,
  );
  return new Map(rows.map((row) => [row.name, row]));
}

/** Databases whose sizes are asked for at once, and how long asking may take in all, in milliseconds. */
const sizesInQuery = 200;
const sizesTimeout = 10_000;

/**
 * Sizes on disk in bytes, of those that the role may look at. Each database is a folder of some 300 files that the server walks: where thousands of
 * databases take too long, the rest goes without. What is known is used to order and announce the work, nothing more.
 */
export async function databaseSizes(
  session: Session,
  names: readonly string[],
  context: Pick<Context, 'clock' | 'log' | 'signal'>,
): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  const deadline = context.clock.now().getTime() + sizesTimeout;
  for (let from = 0; from < names.length; from += sizesInQuery) {
    throwIfAborted(context.signal);
    if (context.clock.now().getTime() >= deadline) {
      context.log.info(`the sizes of ${names.length - from} databases are not known: asking took too long`);
      break;
    }
    const rows = await session.query<{ name: string; bytes: string | null }>(
      `SELECT datname::text AS name,
            CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END AS bytes
       FROM pg_database WHERE datname = ANY ($1::text[]::name[])`,
      [names.slice(from, from + sizesInQuery)],
    );
    for (const row of rows) if (row.bytes !== null) sizes.set(row.name, Number(row.bytes));
  }
  return sizes;
}

/** Why a database cannot be backed up; undefined when it can. */
export function problemOf(name: string, database: Database | undefined): PgsiloError | undefined {
  const shown = showName(name);
  if (!database) {
    return new PgsiloError('source.unit-missing', `database ${shown} does not exist on the server`, {
      hint: 'Correct the registry, or restore the database.',
    });
  }
  if (database.connectionLimit === -2) {
    return new PgsiloError(
      'source.unit-missing',
      `database ${shown} is what an interrupted DROP DATABASE left; nothing in it can be read`,
      {
        hint: `Drop it again, or restore it from the last backup.`,
      },
    );
  }
  if (database.isTemplate) {
    return new PgsiloError(
      'source.unit-missing',
      `database ${shown} is a template, and templates are no tenants`,
      {
        hint: 'Remove it from the list, or ALTER DATABASE … IS_TEMPLATE false.',
      },
    );
  }
  if (!database.allowsConnections) {
    return new PgsiloError(
      'source.denied',
      `database ${shown} allows no connections (datallowconn is false), so it cannot be read`,
      {
        hint: 'ALTER DATABASE … ALLOW_CONNECTIONS true, or remove it from the list.',
      },
    );
  }
  return undefined;
}
