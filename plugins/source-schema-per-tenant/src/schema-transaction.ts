import { PgsiloError, toPgsiloError, type Context } from '@pgsilo/plugin';
import {
  compareFingerprintWithin, quoteIdentifier, requireEqual, showName, terminateSessions, transactionOutcome, undoneError, type Fingerprint, type Session,
} from '@pgsilo/postgres'; // prettier-ignore

/** How far a restore in one transaction has come, for whoever has to say what became of it. */
export interface Progress {
  /** The transaction's number, once it is about to be committed. */
  committing?: string;
}

/** Two restores of one schema would wait for each other for as long as one of them takes. Throws `restore.refused` for the second. */
export async function refuseSecond(session: Session, schema: string): Promise<void> {
  const [row] = await session.query<{ taken: boolean }>(
    `SELECT pg_try_advisory_xact_lock(('x' || substr(md5('pgsilo restore ' || $1), 1, 16))::bit(64)::bigint) AS taken`,
    [schema],
  );
  if (row!.taken) return;
  throw new PgsiloError('restore.refused', `another restore of schema ${showName(schema)} is running`, {
    hint: 'Wait for it to end.',
  });
}

/** Compares it with the fingerprint, if there is one, by what the transaction sees. Throws `restore.mismatch`. */
export function compareWithin(
  session: Session,
  fingerprint: Fingerprint | undefined,
  context: Context,
): Promise<string> {
  return requireEqual(fingerprint, (wanted) => compareFingerprintWithin(session, wanted, context));
}

export async function analyzeSchema(session: Session, schema: string): Promise<void> {
  const tables = await session.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'm')`,
    [schema],
  );
  for (const { name } of tables)
    await session.query(`ANALYZE ${quoteIdentifier(schema)}.${quoteIdentifier(name)}`);
}

export async function commit(session: Session, progress: Progress): Promise<void> {
  // Should this machine vanish without a word, the server must not keep the locks for the minutes that TCP takes to notice.
  await session.query("SET LOCAL idle_in_transaction_session_timeout = '10s'");
  const [row] = await session.query<{ id: string }>('SELECT pg_current_xact_id()::text AS id');
  progress.committing = row!.id;
  await session.query('COMMIT');
}

/**
 * Makes sure that the server has undone it, and says in the error what became of it.
 * @param notes what is said where nothing came of it, and where all had been done by then.
 */
export async function undoneOf(
  session: Session,
  applicationName: string,
  { committing }: Progress,
  error: unknown,
  notes: { readonly undone: string; readonly done: string },
): Promise<PgsiloError> {
  try {
    await session.query('ROLLBACK').catch(() => undefined);
    await session.close();
    await terminateSessions({ ...session.settings, database: session.database }, applicationName, 60_000);
    const done = committing !== undefined && (await transactionOutcome(session, committing)) === 'committed';
    return undoneError(error, done ? notes.done : notes.undone);
  } catch (settling) {
    return undoneError(
      error,
      `The server could not be asked what became of it (${toPgsiloError(settling).message}); unless its COMMIT was reached, the server undoes it by itself.`,
    );
  }
}
