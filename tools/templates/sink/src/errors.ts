import { PgsiloError } from '@pgsilo/plugin';
import type { ErrorCode } from '@pgsilo/plugin';

/**
 * Gives an error of the store its code; `doing` says what was tried, with the key. To be filled in: the engine decides by the code alone
 * what is tried again (`sink.unreachable`) and what is not (`sink.denied`, `sink.full`, `sink.not-found`, `sink.exists`, `sink.corrupt`).
 */
export function translate(error: unknown, doing: string): PgsiloError {
  if (error instanceof PgsiloError) return error;
  const code: ErrorCode = 'sink.failed';
  return new PgsiloError(code, `cannot ${doing}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
    hint: 'Run `pgsilo doctor` on the pipeline file.',
  });
}
