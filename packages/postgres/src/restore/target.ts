import { createHash } from 'node:crypto';
import { isPgsiloError, PgsiloError, type RestoreRequest } from '@pgsilo/plugin';
import { describeServer, parseConnection, type ServerSettings } from '../connection.ts';
import { sqlState } from '../postgres-error.ts';
import { fitIdentifier, longestIdentifier, showName } from '../quoting.ts';
import { openSession, type Session } from '../session.ts';

export interface TargetNames {
  /** The unit's own database. */
  readonly live: string;
  /** What the restored copy is called in the end. */
  readonly target: string;
  /** Name under which a replaced database is kept. */
  readonly kept: string;
}

/** Names of a restore; never equal to each other, of at most 63 bytes. */
export function targetNames(request: RestoreRequest, live: string): TargetNames {
  const kept = copyOf(live, 'before', request);
  if (request.replace) return { live, target: live, kept };
  return { live, target: request.to ?? copyOf(live, 'restored', request), kept };
}

/**
 * `live`, what it is a copy for, and the backup's id. A name that must be cut for it gets a hash of the whole one:
 * tenants are often called alike for their first thirty bytes, and all units of a run share its id.
 */
function copyOf(live: string, purpose: 'restored' | 'before', request: RestoreRequest, number = 1): string {
  const id = request.backup.id.toLowerCase().replaceAll(/[^a-z0-9]/g, '_');
  const suffix = `_${purpose}_${id}${number === 1 ? '' : `_${number}`}`;
  if (Buffer.byteLength(live + suffix) <= longestIdentifier) return live + suffix;
  const hash = createHash('sha256').update(live).digest('hex').slice(0, 8);
  return fitIdentifier(live, `_${hash}${suffix}`);
}

/** Names that {@link targetNames} makes, of a job's later attempts too, with the number that {@link freeKeptName} may put behind them. */
const copyName = /_(?:restored|before)_\d{8}t\d{6}z_[0-9a-f]{6}(?:_\d+){0,2}$/;

/** Whether a database looks like the copy or the replaced original that a restore left. */
export function looksRestored(name: string): boolean {
  return copyName.test(name);
}

/** The server to restore into: the pipeline's own unless the request names another. */
export function targetServer(own: ServerSettings, request: RestoreRequest): ServerSettings {
  return request.toServer === undefined ? own : parseConnection(request.toServer);
}

/**
 * A session in a database that the restore neither makes nor replaces: the connection's own, else `postgres` or `template1`.
 * CREATE DATABASE and RENAME cannot be run from within the database that they are about.
 */
export async function openAdmin(
  settings: ServerSettings,
  names: TargetNames,
  applicationName: string,
  signal: AbortSignal | undefined,
): Promise<Session> {
  const taken = new Set([names.live, names.target, names.kept]);
  const choices = [settings.database, 'postgres', 'template1'].filter((name) => !taken.has(name));
  let missing: unknown;
  for (const database of choices) {
    try {
      return await openSession(settings, {
        database,
        applicationName,
        purpose: 'restore',
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (!isAboutDatabase(error)) throw error;
      missing = error;
    }
  }
  throw new PgsiloError(
    'source.denied',
    `there is no database on ${describeServer(settings)} to run a restore from: tried ${choices.map(showName).join(', ')}`,
    {
      cause: missing,
      hint: 'Give the role CONNECT on the database postgres.',
    },
  );
}

/** Whether another database may do: a password that is wrong is so in each of them. */
function isAboutDatabase(error: unknown): boolean {
  if (!isPgsiloError(error)) return false;
  if (error.code === 'source.unit-missing') return true;
  // No privilege to connect; not let in by pg_hba.conf.
  return error.code === 'source.denied' && ['42501', '28000'].includes(sqlState(error.cause) ?? '');
}

export async function databaseExists(session: Session, name: string): Promise<boolean> {
  const rows = await session.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  return rows.length > 0;
}

/** Where a replaced database is kept: under the name of {@link targetNames}, or the first of its `_2`, `_3`, … that no database has. */
export function freeKeptName(session: Session, request: RestoreRequest, live: string): Promise<string> {
  return freeCopyName(request, live, (name) => databaseExists(session, name));
}

/** The same for what is no database. */
export async function freeCopyName(
  request: RestoreRequest,
  live: string,
  exists: (name: string) => Promise<boolean>,
): Promise<string> {
  for (let number = 1; ; number += 1) {
    const candidate = copyOf(live, 'before', request, number);
    if (!(await exists(candidate))) return candidate;
  }
}
