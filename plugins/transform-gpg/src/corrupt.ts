import { PgsiloError } from '@pgsilo/plugin';

/** The error for stored bytes that are not what was written. */
export function corrupt(
  what: string,
  cause?: unknown,
  hint = 'Use the copy in another sink, or another backup.',
): PgsiloError {
  return new PgsiloError('transform.corrupt', `the encrypted bytes do not decrypt: ${what}`, {
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}
