import { setTimeout as sleep } from 'node:timers/promises';
import { PgsiloError, throwIfAborted, toPgsiloError, type Context } from '@pgsilo/plugin';
import { openSession, quoteIdentifier, showName, sqlState, type Session } from '@pgsilo/postgres';
import { listed, type Problem } from './restore-problems.ts';

/** How often the sessions in the database are ended while the rename waits for them, in milliseconds. */
const terminateEvery = 50;
/** The server itself waits five seconds for sessions to go. Busy applications may need more than one round. */
const rounds = 3;

export interface Swap {
  /** The restored database under its working name. */
  readonly working: string;
  readonly live: string;
  /** The live database's name from then on. */
  readonly kept: string;
}

/** What makes a swap impossible, or surprising, found before the restore begins. */
export interface SwapFindings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/**
 * Gives the restored database the live one's name, in one transaction of two renames.
 *
 * The first RENAME takes an exclusive lock on the live database and then waits for its sessions to leave, which another session ends meanwhile. New
 * sessions wait for that lock, and find the new database or are told that the name has changed. Until COMMIT nothing has happened: when pgsilo or its connection dies,
 * the server rolls back and the live database is as it was, with no mark upon it that keeps anybody out.
 */
export async function swapDatabases(admin: Session, swap: Swap, context: Context): Promise<void> {
  const helper = await openSession(admin.settings, {
    database: admin.database,
    applicationName: 'pgsilo swap',
    purpose: 'end the sessions of the live database',
    signal: context.signal,
  });
  try {
    for (let round = 1; ; round += 1) {
      throwIfAborted(context.signal);
      try {
        await renameBoth(admin, helper, swap, context);
        return;
      } catch (error) {
        if (sqlState((error as Error).cause) !== objectInUse || round === rounds)
          throw swapFailed(swap, error);
      }
    }
  } finally {
    await helper.close();
  }
}

/** Gives the restored database its name where nothing has it. Sessions of autovacuum are ended by the server itself. */
export async function renameDatabase(admin: Session, from: string, to: string): Promise<void> {
  await admin.query(`ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`);
}

const objectInUse = '55006';

/** Sessions of role `r` that our role may not end; asking for it would be an error, not a refusal. */
const beyondReach = `(NOT pg_has_role(r.oid, 'USAGE') AND (r.rolsuper OR NOT pg_has_role('pg_signal_backend', 'USAGE')))`;

async function renameBoth(admin: Session, helper: Session, swap: Swap, context: Context): Promise<void> {
  // Before the lock, so that it is held as shortly as can be.
  await endSessions(helper, swap.live);
  await admin.query('BEGIN');
  const done = new AbortController();
  const ending = keepEnding(helper, swap.live, done.signal);
  try {
    // Should this machine vanish without a word, the server must not keep the lock for the hours that TCP takes to notice.
    await admin.query("SET LOCAL idle_in_transaction_session_timeout = '10s'");
    await admin.query("SET LOCAL statement_timeout = '60s'");
    await renameDatabase(admin, swap.live, swap.kept);
    await renameDatabase(admin, swap.working, swap.live);
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

async function keepEnding(helper: Session, database: string, done: AbortSignal): Promise<void> {
  while (!done.aborted) {
    // Its failure shows as the rename's: sessions stay, and that says why.
    await endSessions(helper, database).catch(() => undefined);
    await sleep(terminateEvery, undefined, { signal: done }).catch(() => undefined);
  }
}

/** By OID: while the rename is under way, its transaction alone sees the new name. */
async function endSessions(helper: Session, database: string): Promise<void> {
  await helper.query(
    `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid
     JOIN pg_roles r ON r.oid = a.usesysid
     WHERE d.datname = $1 AND a.pid <> pg_backend_pid() AND NOT ${beyondReach}`,
    [database],
  );
}

function swapFailed(swap: Swap, error: unknown): PgsiloError {
  const known = toPgsiloError(error, 'restore.failed');
  if (known.code === 'aborted' || known.code === 'limit.timeout') return known;
  return new PgsiloError(
    'restore.failed',
    `database ${showName(swap.live)} could not be swapped and is as it was: ${known.message}`,
    {
      cause: error,
      hint: 'End what keeps sessions in it (applications, poolers, replication) and restore again, or restore beside it without --replace.',
    },
  );
}

/** Looks at the live database for what a swap would not survive or would leave behind. */
export async function examineLive(admin: Session, live: string, superuser: boolean): Promise<SwapFindings> {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const name = showName(live);
  const [own] = await admin.query<{ owner: string; ours: boolean; template: boolean }>(
    `SELECT pg_get_userbyid(datdba)::text AS owner, pg_has_role(datdba, 'USAGE') AS ours, datistemplate AS template FROM pg_database WHERE datname = $1`,
    [live],
  );
  if (!own) return { problems, warnings };
  if (!own.ours) {
    const message = `database ${name} belongs to ${showName(own.owner)}, of which the role that restores is no member, so it cannot be renamed`;
    problems.push({
      code: 'restore.denied',
      message,
      hint: 'Restore as its owner or as a superuser, or without --replace.',
    });
  }
  const prepared = await admin.query<{ gid: string }>(
    'SELECT gid FROM pg_prepared_xacts WHERE database = $1 ORDER BY prepared',
    [live],
  );
  if (prepared.length > 0) {
    problems.push({
      code: 'restore.refused',
      message: `database ${name} has prepared transactions, which keep it from being renamed: ${listed(prepared.map((row) => showName(row.gid)))}`,
      hint: 'COMMIT PREPARED or ROLLBACK PREPARED them first.',
    });
  }
  const slots = await admin.query<{ name: string }>(
    'SELECT slot_name::text AS name FROM pg_replication_slots WHERE database = $1',
    [live],
  );
  if (slots.length > 0) {
    warnings.push(
      `logical replication slots stay with the replaced database and have to be made again in the new one: ${listed(slots.map((row) => showName(row.name)))}`,
    );
  }
  // Only a superuser may read all of pg_subscription; its columns but the connection are open to everybody.
  const subscriptions = await admin.query<{ name: string }>(
    `SELECT s.subname::text AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = $1 AND s.subenabled`,
    [live],
  );
  if (subscriptions.length > 0) {
    warnings.push(
      `enabled subscriptions go on in the replaced database; in the restored one they are disabled: ${listed(subscriptions.map((row) => showName(row.name)))}`,
    );
  }
  if (!superuser) {
    const others = await admin.query<{ role: string }>(
      `SELECT DISTINCT r.rolname::text AS role FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
       WHERE a.datname = $1 AND ${beyondReach}`,
      [live],
    );
    if (others.length > 0) {
      problems.push({
        code: 'restore.denied',
        message: `sessions of other roles are in database ${name} and may not be ended by the role that restores: ${listed(others.map((row) => showName(row.role)))}`,
        hint: 'GRANT pg_signal_backend to the role that restores.',
      });
    }
  }
  return { problems, warnings };
}
