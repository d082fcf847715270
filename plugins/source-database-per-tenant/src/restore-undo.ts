import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import { describeServer, showName, terminateSessions } from '@pgsilo/postgres';
import type { PreparedRestore } from './prepared-restore.ts';
import { databaseExists, openAdmin } from './restore-target.ts';
import { dropWorking } from './working-database.ts';

/** How long ending sessions and dropping the working database may take, in milliseconds. */
const undoTimeout = 60_000;

/** Removes what this restore made, also after an abort, and says so in the error. */
export async function undo(prepared: PreparedRestore, working: string, error: unknown): Promise<PgsiloError> {
  const failure = asRestoreError(error);
  const note = await removeWorking(prepared, working).catch((cleanupError: unknown) => {
    prepared.context.log.warn('could not remove the unfinished copy', {
      database: working,
      error: toPgsiloError(cleanupError).message,
    });
    return `The unfinished copy may still be on ${describeServer(prepared.admin.settings)} as ${working}; the next restore removes it.`;
  });
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

async function removeWorking(prepared: PreparedRestore, working: string): Promise<string> {
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
function asRestoreError(error: unknown): PgsiloError {
  const known = toPgsiloError(error, 'restore.failed');
  if (known.code === 'source.denied') return rename(known, 'restore.denied');
  if (known.code.startsWith('source.') && known.code !== 'source.archive-invalid')
    return rename(known, 'restore.failed');
  return known;
}

function rename(error: PgsiloError, code: 'restore.denied' | 'restore.failed'): PgsiloError {
  return new PgsiloError(code, error.message, { cause: error });
}
