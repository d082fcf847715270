import { errorCodes } from './error-codes.ts';
import type { ErrorCode, ErrorRow } from './error-codes.ts';

/** What may be added to an error. */
export interface ErrorExtras {
  /** The error that led to this one. Always kept: it is the only trace of what really happened. */
  readonly cause?: unknown;
  /** What the person does next, as one sentence or command. */
  readonly hint?: string;
}

/**
 * The only error class of pgsilo and its plugins. `message` says what happened and to what; `hint` says what to do next.
 * Neither may hold a secret: text that came from elsewhere goes through `redact` first.
 */
export class PgsiloError extends Error {
  override readonly name = 'PgsiloError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, 'cause' in extras ? { cause: extras.cause } : undefined);
    this.code = code;
    this.hint = extras.hint;
  }

  /** True when the same call may succeed a moment later. */
  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }

  /** Exit status of a command that this error ends. */
  get exit(): ErrorRow['exit'] {
    return errorCodes[this.code].exit;
  }

  /** The error as data, for logs, run summaries and `--json`; the cause is left out, because foreign errors may hold anything. */
  toJSON(): { code: ErrorCode; message: string; hint?: string } {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
    };
  }
}

/** Gives any thrown value a code: a {@link PgsiloError} stays as it is, an abort becomes `aborted`, the rest gets `fallback`. */
export function toPgsiloError(error: unknown, fallback: ErrorCode = 'internal'): PgsiloError {
  if (error instanceof PgsiloError) return error;
  if (error instanceof Error && error.name === 'AbortError') {
    return error.cause instanceof PgsiloError
      ? error.cause
      : new PgsiloError('aborted', 'interrupted', { cause: error });
  }
  return new PgsiloError(fallback, error instanceof Error ? error.message : String(error), { cause: error });
}

/** Throws the signal's reason as a {@link PgsiloError} when it was aborted. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortReason(signal);
}

/** The reason of an aborted signal: the {@link PgsiloError} that it was aborted with, else `aborted`. */
export function abortReason(signal: AbortSignal): PgsiloError {
  return toPgsiloError(signal.reason ?? new PgsiloError('aborted', 'interrupted'), 'aborted');
}
