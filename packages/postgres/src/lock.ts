import { createHash } from 'node:crypto';
import { PgsiloError, type Context, type HeldLock, type LockAttempt, type LockedBy } from '@pgsilo/plugin';
import type { ServerSettings } from './connection.ts';
import { fitIdentifier } from './quoting.ts';
import { openSession, type Session } from './session.ts';

/** Begins the application_name of sessions that hold a lock; what follows is the holder's word on itself. */
const applicationPrefix = 'pgsilo lock ';
/** Often enough for firewalls that forget idle connections, and to notice a loss in time. */
const heartbeatEvery = 20_000;
const heartbeatTimeout = 20_000;

/**
 * Takes an advisory lock in the database of the settings; it lives as long as its session. Advisory locks are per database: everybody who means the same lock takes it in the same one.
 * `holder` says who we are, to whoever comes second; it is cut so that it fits into application_name.
 */
export async function takeLock(
  settings: ServerSettings,
  name: string,
  holder: string,
  context: LockContext,
): Promise<LockAttempt> {
  // Once it is held, an interrupted run keeps it until its clean-up is done.
  const acquiring = new AbortController();
  const interrupt = (): void => acquiring.abort(context.signal.reason);
  context.signal.addEventListener('abort', interrupt, { once: true });
  if (context.signal.aborted) interrupt();
  try {
    return await tryLock(settings, name, holder, { signal: acquiring.signal, log: context.log });
  } finally {
    context.signal.removeEventListener('abort', interrupt);
  }
}

type LockContext = Pick<Context, 'signal' | 'log'>;

async function tryLock(
  settings: ServerSettings,
  name: string,
  holder: string,
  context: LockContext,
): Promise<LockAttempt> {
  const session = await openSession(settings, {
    // The server would show each byte that is not ASCII as a question mark.
    applicationName: fitIdentifier(applicationPrefix + holder.replaceAll(/[^\x20-\x7e]/g, '?'), ''),
    purpose: `take the lock ${JSON.stringify(name)}`,
    signal: context.signal,
  });
  try {
    if (session.pooled) {
      context.log.warn(
        'the connection goes through a pooler: the lock holds only if it pools whole sessions',
        { database: session.database },
      );
    }
    const key = keyOf(name);
    // Whoever held it may end between the attempt and the look.
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const [row] = await session.query<{ held: boolean }>('SELECT pg_try_advisory_lock($1::int8) AS held', [
        key.toString(),
      ]);
      if (row?.held) return hold(session);
      const other = await whoHolds(session, key);
      if (other) {
        await session.close();
        return other;
      }
    }
    throw new PgsiloError(
      'source.failed',
      `the lock ${JSON.stringify(name)} is taken and freed again and again`,
    );
  } catch (error) {
    await session.close();
    throw error;
  }
}

function keyOf(name: string): bigint {
  return createHash('sha256').update(`pgsilo run lock ${name}`).digest().readBigInt64BE();
}

async function whoHolds(session: Session, key: bigint): Promise<LockedBy | undefined> {
  const [row] = await session.query<{ pid: number; name: string | null; since: Date | null }>(
    `SELECT l.pid, a.application_name AS name, a.backend_start AS since
       FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::int8 = $1 AND l.objid::int8 = $2`,
    [(BigInt.asUintN(64, key) >> 32n).toString(), BigInt.asUintN(32, key).toString()],
  );
  if (!row) return undefined;
  const name = row.name ?? '';
  const holder = name.startsWith(applicationPrefix) ? name.slice(applicationPrefix.length) : name;
  return { held: false, holder: holder || `server session ${row.pid}`, since: row.since ?? undefined };
}

function hold(session: Session): HeldLock {
  const lost = new AbortController();
  let released = false;
  const lose = (cause: unknown): void => {
    clearInterval(timer);
    if (released || lost.signal.aborted) return;
    lost.abort(
      new PgsiloError(
        'run.lock-lost',
        `the session that held the run lock ended: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          cause,
          hint: 'See the log of the server. What was committed before is safe; run again.',
        },
      ),
    );
  };
  const timer = setInterval(() => void beat(session, lose), heartbeatEvery);
  timer.unref();
  const onLost = (): void => lose(session.lost.reason);
  session.lost.addEventListener('abort', onLost, { once: true });
  if (session.lost.aborted) onLost();
  return {
    held: true,
    lost: lost.signal,
    release: async () => {
      released = true;
      clearInterval(timer);
      await session.close();
    },
  };
}

async function beat(session: Session, lose: (cause: unknown) => void): Promise<void> {
  const timer = setTimeout(() => lose(new Error('the server did not answer')), heartbeatTimeout);
  timer.unref();
  try {
    await session.query('SELECT 1');
  } catch (error) {
    lose(error);
  } finally {
    clearTimeout(timer);
  }
}
