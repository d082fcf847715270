import { describePoint, PgsiloError, type RecoveryPoint } from '@pgsilo/plugin';

/** Why a server did not recover, by the end of its log. */
export function notRecovered(words: string, point: RecoveryPoint | undefined): PgsiloError {
  if (point && words.includes('recovery ended before configured recovery target was reached'))
    return notReached(words, point);
  return new PgsiloError('restore.failed', `the server did not recover: ${words.trim()}`, {
    hint: 'Use an earlier backup (--backup) or another sink (--from).',
  });
}

/** The log was replayed to its end. For what has no order, a transaction or a name, that end may also be before the backup. */
function notReached(words: string, point: RecoveryPoint): PgsiloError {
  const last = lastTransaction(words);
  const end = /redo done at ([0-9A-F]+\/[0-9A-F]+)/i.exec(words)?.[1];
  const where = end === undefined ? '' : `it goes up to ${end}, and `;
  const until =
    last === undefined ? 'it holds no later transaction' : `the last transaction in it is of ${last}`;
  const unordered = point.kind === 'xid' || point.kind === 'restore-point';
  return new PgsiloError(
    'restore.refused',
    `the write-ahead log that was archived does not reach ${describePoint(point)}: ${where}${until}`,
    {
      hint: unordered
        ? 'It may be older than the backup: take an older one (--backup, --before). It may lie on another timeline (--timeline), or not be archived yet. --latest goes to the end of what was archived.'
        : 'Take what lies before that end (--at, --lsn), or --latest for the end itself.',
    },
  );
}

/** When the last transaction was committed that was replayed, in the server's words. */
export function lastTransaction(log: string): string | undefined {
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
