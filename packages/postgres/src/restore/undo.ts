import { PgsiloError, toPgsiloError, type Context } from '@pgsilo/plugin';
import { describeServer } from '../connection.ts';
import { showName } from '../quoting.ts';
import { terminateSessions, type Session } from '../session.ts';
import { databaseExists, openAdmin, type TargetNames } from './target.ts';
import { dropWorking } from './working-database.ts';

/** What of a restore is needed to undo it. */
export interface UnfinishedRestore {
  readonly admin: Session;
  readonly context: Pick<Context, 'log'>;
  /** Of all sessions of this restore. */
  readonly applicationName: string;
  readonly names: TargetNames;
  /** Whether there was a live database to swap with. */
  readonly swaps: boolean;
  readonly progress: {
    /** Set before the working database is renamed. */
    naming: boolean;
  };
}

/** How long ending sessions and dropping the working database may take, in milliseconds. */
const undoTimeout = 60_000;

/** Removes what this restore made, also after an abort, and says so in the error. */
export async function undo(
  prepared: UnfinishedRestore,
  working: string,
  error: unknown,
): Promise<PgsiloError> {
  const note = await removeWorking(prepared, working).catch((cleanupError: unknown) => {
    prepared.context.log.warn('could not remove the unfinished copy', {
      database: working,
      error: toPgsiloError(cleanupError).message,
    });
    return `The unfinished copy may still be on ${describeServer(prepared.admin.settings)} as ${working}; the next restore removes it.`;
  });
  return undoneError(error, note);
}

/** The error of a restore that failed, with what became of what it had done. */
export function undoneError(error: unknown, note: string): PgsiloError {
  const failure = asRestoreError(error);
  return new PgsiloError(failure.code, withNote(failure.message, note), {
    cause: error,
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  });
}

/** What a client program said last, over several lines, is followed by a line of its own. */
function withNote(message: string, note: string): string {
  if (message.includes('\n')) return `${message}\n${note}`;
  return `${message}${/[.!?]$/.test(message) ? '' : '.'} ${note}`;
}

async function removeWorking(prepared: UnfinishedRestore, working: string): Promise<string> {
  const { names, applicationName, swaps } = prepared;
  const admin = await openAdmin(
    prepared.admin.settings,
    names,
    'pgsilo cleanup',
    AbortSignal.timeout(undoTimeout),
  );
  try {
    await terminateSessions(admin.settings, applicationName, undoTimeout).catch(() => 0);
    // A connection that broke during COMMIT: the server has renamed it, and only we were not told.
    if (
      prepared.progress.naming &&
      !(await databaseExists(admin, working)) &&
      (await databaseExists(admin, swaps ? names.kept : names.target))
    ) {
      return `All of it had been done by then: ${showName(names.target)} is the restored database${swaps ? `, ${showName(names.kept)} the replaced one` : ''}.`;
    }
    await dropWorking(admin, working);
    return 'Nothing of it was left behind, and nothing else was changed.';
  } finally {
    await admin.close();
  }
}

/** Errors of the server and of pg_restore speak of reading; here they are a restore's. */
export function asRestoreError(error: unknown): PgsiloError {
  const known = toPgsiloError(error, 'restore.failed');
  if (known.code === 'source.denied') return rename(known, 'restore.denied');
  if (known.code.startsWith('source.') && known.code !== 'source.archive-invalid')
    return rename(known, 'restore.failed');
  return known;
}

function rename(error: PgsiloError, code: 'restore.denied' | 'restore.failed'): PgsiloError {
  return new PgsiloError(code, error.message, { cause: error });
}
