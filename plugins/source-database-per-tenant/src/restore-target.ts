import { PgsiloError, type RestoreRequest } from '@pgsilo/plugin';
import {
  describeServer, fitIdentifier, openSession, parseConnection, showName, type ServerSettings, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import type { SourceSetup } from './setup.ts';

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
  const id = request.backup.id.toLowerCase().replaceAll(/[^a-z0-9]/g, '_');
  const kept = fitIdentifier(live, `_before_${id}`);
  if (request.replace) return { live, target: live, kept };
  return { live, target: request.to ?? fitIdentifier(live, `_restored_${id}`), kept };
}

/** Names that {@link targetNames} makes, with the number that {@link freeName} may put behind them. */
const copyName = /_(?:restored|before)_\d{8}t\d{6}z_[0-9a-f]{6}(?:_\d+)?$/;

/** Whether a database looks like the copy or the replaced original that a restore left. */
export function looksRestored(name: string): boolean {
  return copyName.test(name);
}

/** The server to restore into. */
export function targetServer(setup: SourceSetup, request: RestoreRequest): ServerSettings {
  return request.toServer === undefined ? setup.settings : parseConnection(request.toServer);
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
      if (
        !(error instanceof PgsiloError) ||
        (error.code !== 'source.unit-missing' && error.code !== 'source.denied')
      )
        throw error;
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

export async function databaseExists(session: Session, name: string): Promise<boolean> {
  const rows = await session.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  return rows.length > 0;
}

/** `name`, or the first of `name_2`, `name_3`, … that no database has. */
export async function freeName(session: Session, name: string): Promise<string> {
  let candidate = name;
  for (let number = 2; await databaseExists(session, candidate); number += 1)
    candidate = fitIdentifier(name, `_${number}`);
  return candidate;
}
