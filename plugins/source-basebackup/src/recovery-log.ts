import { PgsiloError } from '@pgsilo/plugin';

/** Why a server did not recover, by the end of its log. */
export function notRecovered(words: string, at: string | undefined): PgsiloError {
  if (words.includes('recovery ended before configured recovery target was reached')) {
    const last = lastTransaction(words);
    const until =
      last === undefined ? 'it holds no later transaction' : `the last transaction in it is of ${last}`;
    return new PgsiloError(
      'restore.refused',
      `the write-ahead log that was archived does not reach ${at}: ${until}`,
      { hint: 'Take an earlier moment (--at); or leave --at out for the end of the backup.' },
    );
  }
  return new PgsiloError('restore.failed', `the server did not recover: ${words.trim()}`, {
    hint: 'Use an earlier backup (--backup) or another sink (--from).',
  });
}

function lastTransaction(log: string): string | undefined {
  return /last completed transaction was at log time ([^\n]+)/.exec(log)?.[1]?.trim();
}

/**
 * Where recovery stopped, in the server's words; undefined: it says nothing of it, as where it came to the end of the backup. Throws `restore.mismatch` where the log speaks of pages of this database that were not there: they are left out with the
 * files of other databases, and nobody else's may be.
 * @param oid of the database that is wanted.
 */
export function readRecovery(log: string, oid: string): string | undefined {
  const place = String.raw`(?:base/${oid}|pg_tblspc/\d+/PG_[^/\s]+/${oid})/`;
  const invalid = new RegExp(
    `^.*(?:page \\d+ of relation ${place}|relation ${place}\\S+ does not exist).*$`,
    'm',
  ).exec(log);
  if (invalid)
    throw new PgsiloError(
      'restore.mismatch',
      `the write-ahead log speaks of a page that the backup lacks: ${invalid[0].trim()}`,
      {
        hint: 'Use another backup (--backup).',
      },
    );
  const stopped = /recovery stopping (before|after) ([^\n]+)/.exec(log);
  return stopped ? `${stopped[1]} ${stopped[2]!.trim()}` : undefined;
}
