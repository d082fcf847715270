import { PgsiloError, type Body, type ReadContext } from '@pgsilo/plugin';
import { showName } from './quoting.ts';
import type { Session } from './session.ts';

/** Milliseconds between two looks. Most dumps have begun to deliver before the first one. */
const lookAgain = 500;

/**
 * The body of pg_dump; throws `source.lock-timeout`, which is tried again, where pg_dump and the database's own users would stand still for our sake.
 * pg_dump takes its locks after `session` took the same ones. A TRUNCATE or ALTER TABLE that comes in between waits for ours, pg_dump waits in line behind it, and so does
 * every query on that table; the server sees no deadlock, because `session` waits for pg_dump outside of it. The one who gives way is the backup.
 * @param applicationName of pg_dump's session.
 */
export function refuseStandstill(
  body: Body,
  session: Session,
  applicationName: string,
  context: Pick<ReadContext, 'clock' | 'signal'>,
): Body {
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = body[Symbol.asyncIterator]();
      const begun = new AbortController();
      let first = true;
      return {
        next: async () => {
          if (!first) return iterator.next();
          first = false;
          const ended = AbortSignal.any([begun.signal, context.signal]);
          const chunk = iterator.next();
          try {
            // What it delivers comes after all of its locks.
            return await Promise.race([chunk, standstill(session, applicationName, context, ended)]);
          } finally {
            chunk.catch(() => undefined);
            begun.abort();
          }
        },
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}

/** Rejects when it has come to a standstill; else never settles. */
async function standstill(
  session: Session,
  applicationName: string,
  { clock }: Pick<ReadContext, 'clock'>,
  ended: AbortSignal,
): Promise<never> {
  const never = new Promise<never>(() => undefined);
  for (;;) {
    try {
      await clock.sleep(lookAgain, ended);
    } catch {
      return never;
    }
    // A session that broke is told of by those who need it.
    const stuck = await isStuck(session, applicationName).catch(() => false);
    if (ended.aborted) return never;
    if (stuck) {
      throw new PgsiloError(
        'source.lock-timeout',
        `a TRUNCATE or ALTER TABLE in database ${showName(session.database)} came in between two locks of the backup, which gave way to it`,
        {
          hint: 'It is tried again. Where tables are emptied all the time, leave the fingerprint out: `fingerprint: none`.',
        },
      );
    }
  }
}

async function isStuck(session: Session, applicationName: string): Promise<boolean> {
  // Within a transaction the server goes on showing the sessions that there were at the first look.
  await session.query('SELECT pg_stat_clear_snapshot()');
  const [row] = await session.query<{ stuck: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_stat_activity d, unnest(pg_blocking_pids(d.pid)) AS b (pid)
       WHERE d.application_name = $1 AND d.pid <> pg_backend_pid() AND d.wait_event_type = 'Lock'
         AND pg_backend_pid() = ANY (pg_blocking_pids(b.pid))) AS stuck`,
    [applicationName],
  );
  return row?.stuck === true;
}
