import { attemptWith, isPgsiloError, PgsiloError, redact } from '@pgsilo/plugin';
import type { Attempt, ErrorCode } from '@pgsilo/plugin';

/**
 * Which code an error of the store gets. To be filled in: the engine decides by the code alone what is tried again (`sink.unreachable`) and what is not
 * (`sink.denied`, `sink.missing`, `sink.full`, `sink.too-large`, `sink.not-found`, `sink.exists`, `sink.corrupt`).
 */
function codeOf(_error: unknown): ErrorCode {
  return 'sink.failed';
}

/** Gives an error of the store its code; `doing` says what was tried, with the key. */
export function translate(error: unknown, doing: string): PgsiloError {
  if (isPgsiloError(error)) return error;
  const reason = redact(error instanceof Error ? error.message : String(error));
  return new PgsiloError(codeOf(error), `cannot ${doing}: ${reason}`, {
    cause: error,
    hint: 'Run `pgsilo doctor` on the pipeline file.',
  });
}

/** Does one thing with the store. After an abort it throws the reason, whatever the store says. */
export const attempt: Attempt = attemptWith(translate);
