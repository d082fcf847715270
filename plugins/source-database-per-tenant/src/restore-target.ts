import { randomBytes } from 'node:crypto';
import { PgsiloError, type Context, type RestoreRequest } from '@pgsilo/plugin';
import {
  describeServer, fitIdentifier, openSession, parseConnection, quoteIdentifier, quoteLiteral, showName, type ServerSettings, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import type { SourceSetup } from './setup.ts';

/**
 * A restore works in a database of this name followed by 16 hexadecimal digits, and gives it its real name when it is whole.
 * The digits are the key of an advisory lock that the restore holds from before the database exists until it is renamed: one whose lock nobody holds is a killed restore's.
 */
export const workingPrefix = 'pgsilo_restoring_';

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

/** Takes the lock under which the working database lives, and gives it a name. Held by `admin` until that session ends. */
export async function claimWorkingName(admin: Session): Promise<string> {
  const digits = randomBytes(8).toString('hex');
  const [row] = await admin.query<{ taken: boolean }>(
    `SELECT pg_try_advisory_lock(('x' || $1)::bit(64)::bigint) AS taken`,
    [digits],
  );
  if (!row?.taken) throw new PgsiloError('internal', 'a random lock key was taken already');
  return workingPrefix + digits;
}

/** Drops what killed restores left on the server. Leaves alone what belongs to a restore that runs, or to roles that we are no member of. */
export async function sweepLeftovers(
  admin: Session,
  context: Pick<Context, 'log'>,
): Promise<readonly string[]> {
  const rows = await admin.query<{ name: string }>(
    `SELECT d.datname::text AS name FROM pg_database d
     WHERE d.datname ~ $1 AND NOT d.datistemplate AND pg_has_role(d.datdba, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
         AND lpad(to_hex(l.classid::bigint), 8, '0') || lpad(to_hex(l.objid::bigint), 8, '0') = right(d.datname, 16))`,
    [`^${workingPrefix}[0-9a-f]{16}$`],
  );
  const dropped: string[] = [];
  for (const { name } of rows) {
    try {
      await dropDatabase(admin, name);
      dropped.push(name);
      context.log.info('removed what a killed restore had left', { database: name });
    } catch (error) {
      context.log.warn('could not remove what a killed restore had left', {
        database: name,
        error: String(error),
      });
    }
  }
  return dropped;
}

/** Ends the sessions in it and drops it. No error when it is gone. */
export async function dropDatabase(admin: Session, name: string): Promise<void> {
  await admin.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)} WITH (FORCE)`);
}

/** Says what the database is for to whoever lists the databases meanwhile. */
export async function markWorking(admin: Session, name: string, request: RestoreRequest): Promise<void> {
  const words = `pgsilo restore in progress: backup ${request.backup.id} of ${request.backup.unit.name}`;
  await admin.query(`COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${quoteLiteral(words)}`);
}
