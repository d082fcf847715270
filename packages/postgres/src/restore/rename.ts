import { setTimeout as sleep } from 'node:timers/promises';
import { PgsiloError, throwIfAborted, toPgsiloError, type Context } from '@pgsilo/plugin';
import { sqlState } from '../postgres-error.ts';
import { quoteIdentifier, showName } from '../quoting.ts';
import { openSession, type Session } from '../session.ts';

export interface Renaming {
  readonly from: string;
  readonly to: string;
}

/** How often the sessions in the databases are ended while a rename waits for them, in milliseconds. */
const terminateEvery = 50;
/** The server itself waits five seconds for sessions to go. Busy applications may need more than one round. */
const rounds = 3;
const objectInUse = '55006';
const duplicateDatabase = '42P04';

/** Sessions of role `r` that our role may not end; asking for it would be an error, not a refusal. */
export const beyondReach = `(NOT pg_has_role(r.oid, 'USAGE') AND (r.rolsuper OR NOT pg_has_role('pg_signal_backend', 'USAGE')))`;

/**
 * Renames databases in their order, in one transaction. A swap is two of these: the live one to another name, the restored one to its name.
 *
 * A RENAME takes an exclusive lock on its database and then waits for the sessions in it to leave, which another session ends meanwhile. New sessions
 * wait for that lock, and then find the new database or are told that the name has changed. Until COMMIT nothing has happened: when pgsilo or its
 * connection dies, the server rolls back, and each database is as it was, with no mark upon it that keeps anybody out.
 */
export async function renameDatabases(
  admin: Session,
  renamings: readonly Renaming[],
  context: Pick<Context, 'signal'>,
): Promise<void> {
  const helper = await openSession(admin.settings, {
    database: admin.database,
    applicationName: 'pgsilo swap',
    purpose: 'end the sessions of databases that are renamed',
    signal: context.signal,
  });
  try {
    for (let round = 1; ; round += 1) {
      throwIfAborted(context.signal);
      try {
        await renameAll(admin, helper, renamings, context);
        return;
      } catch (error) {
        if (sqlState((error as Error).cause) !== objectInUse || round === rounds)
          throw renameFailed(renamings, error);
      }
    }
  } finally {
    await helper.close();
  }
}

async function renameAll(
  admin: Session,
  helper: Session,
  renamings: readonly Renaming[],
  context: Pick<Context, 'signal'>,
): Promise<void> {
  const names = renamings.map((each) => each.from);
  // Before the lock, so that it is held as shortly as can be.
  await endSessions(helper, names);
  await admin.query('BEGIN');
  const done = new AbortController();
  const ending = keepEnding(helper, names, done.signal);
  try {
    // Should this machine vanish without a word, the server must not keep the lock for the hours that TCP takes to notice.
    await admin.query("SET LOCAL idle_in_transaction_session_timeout = '10s'");
    await admin.query("SET LOCAL statement_timeout = '60s'");
    for (const { from, to } of renamings) {
      await admin.query(`ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`);
    }
    throwIfAborted(context.signal);
    await admin.query('COMMIT');
  } catch (error) {
    await admin.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    done.abort();
    await ending;
  }
}

async function keepEnding(helper: Session, names: readonly string[], done: AbortSignal): Promise<void> {
  while (!done.aborted) {
    // Its failure shows as the rename's: sessions stay, and that says why.
    await endSessions(helper, names).catch(() => undefined);
    await sleep(terminateEvery, undefined, { signal: done }).catch(() => undefined);
  }
}

/** By the names before: while the renaming transaction is open, it alone sees the others. */
async function endSessions(helper: Session, names: readonly string[]): Promise<void> {
  await helper.query(
    `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid JOIN pg_roles r ON r.oid = a.usesysid
     WHERE d.datname = ANY($1::text[]::name[]) AND a.pid <> pg_backend_pid() AND NOT ${beyondReach}`,
    [names],
  );
}

function renameFailed(renamings: readonly Renaming[], error: unknown): PgsiloError {
  const known = toPgsiloError(error, 'restore.failed');
  if (known.code === 'aborted' || known.code === 'limit.timeout') return known;
  const name = showName(renamings[0]!.from);
  if (sqlState((error as Error).cause) === duplicateDatabase) {
    return new PgsiloError(
      'restore.target-exists',
      `a database ${showName(renamings[0]!.to)} was made meanwhile, most likely by another restore of this backup; ${name} was not renamed`,
      {
        cause: error,
        hint:
          renamings.length > 1
            ? `Look at ${name} first: it may be what you wanted by now. Restoring again replaces it once more and keeps it under another name.`
            : 'Look at it first: it may be what you wanted. Or restore again under another name: --to.',
      },
    );
  }
  return new PgsiloError(
    'restore.failed',
    `database ${name} could not be renamed and is as it was: ${known.message}`,
    {
      cause: error,
      hint: 'End what keeps sessions in it (applications, poolers, monitoring, replication), and restore again.',
    },
  );
}
