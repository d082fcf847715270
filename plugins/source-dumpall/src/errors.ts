import { PgsiloError } from '@pgsilo/plugin';

/** The dump is cut, or is nothing that pg_dumpall writes. */
export function invalidDump(message: string, cause?: unknown): PgsiloError {
  return new PgsiloError('source.archive-invalid', `cluster.sql: ${message}`, {
    hint: 'Use the copy in another sink, or another backup.',
    ...(cause === undefined ? {} : { cause }),
  });
}
