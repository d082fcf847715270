import { PgsiloError } from '@pgsilo/plugin';

/** What every reader here throws: one code, whatever is wrong with the bytes. */
export function invalidArchive(problem: string, cause?: unknown): PgsiloError {
  return new PgsiloError('source.archive-invalid', `archive is not valid: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'Use the copy in another sink, or another backup.',
  });
}
