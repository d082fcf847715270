import { randomBytes } from 'node:crypto';
import { PgsiloError, toPgsiloError, type Context, type RestoreRequest } from '@pgsilo/plugin';
import type { ServerSettings } from '../connection.ts';
import { quoteIdentifier, quoteLiteral } from '../quoting.ts';
import { openSession, type Session } from '../session.ts';

/**
 * A restore works in a database of this name followed by 16 hexadecimal digits, and gives it its real name when it is whole.
 * The digits are the key of an advisory lock that the restore holds from before the database exists until it is renamed: one whose lock nobody holds is a killed restore's.
 */
const workingPrefix = 'pgsilo_restoring_';

/** Whether a database is one that a restore works in, or a killed one left: it is nobody's. */
export function isWorkingName(name: string): boolean {
  return name.startsWith(workingPrefix) && /^[0-9a-f]{16}$/.test(name.slice(workingPrefix.length));
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
      await dropWorking(admin, name);
      dropped.push(name);
      context.log.info('removed what a killed restore had left', { database: name });
    } catch (error) {
      context.log.warn('could not remove what a killed restore had left', {
        database: name,
        error: toPgsiloError(error).message,
      });
    }
  }
  return dropped;
}

/** The same, by a session of its own. */
export async function sweepServer(settings: ServerSettings, context: Context): Promise<void> {
  const session = await openSession(settings, {
    applicationName: 'pgsilo restore all',
    purpose: 'remove what killed restores left',
    signal: context.signal,
  });
  try {
    await sweepLeftovers(session, context);
  } finally {
    await session.close();
  }
}

/** A session in the working database, for one purpose. */
export async function inWorking<T>(
  { admin, applicationName, context }: WorkingPlace,
  database: string,
  purpose: string,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { signal } = context;
  const session = await openSession(admin.settings, { database, applicationName, purpose, signal });
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/** Where a restore works. */
export interface WorkingPlace {
  readonly admin: Session;
  /** Of all sessions of this restore. */
  readonly applicationName: string;
  readonly context: Pick<Context, 'signal'>;
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

/**
 * Drops a working database, also one that holds subscriptions: these are disabled, because pg_restore never connects them,
 * and are taken away without a word to the other server, where the original's slots are.
 */
export async function dropWorking(admin: Session, name: string): Promise<void> {
  const rows = await admin.query<{ name: string }>(
    'SELECT s.subname::text AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = $1',
    [name],
  );
  if (rows.length > 0)
    await dropSubscriptions(
      admin,
      name,
      rows.map((row) => row.name),
    );
  await dropDatabase(admin, name);
}

async function dropSubscriptions(admin: Session, database: string, names: readonly string[]): Promise<void> {
  const session = await openSession(admin.settings, {
    database,
    applicationName: 'pgsilo cleanup',
    purpose: 'remove an unfinished copy',
  });
  try {
    for (const name of names) {
      const subscription = `SUBSCRIPTION ${quoteIdentifier(name)}`;
      await session.query(`ALTER ${subscription} DISABLE`);
      await session.query(`ALTER ${subscription} SET (slot_name = NONE)`);
      await session.query(`DROP ${subscription}`);
    }
  } finally {
    await session.close();
  }
}
