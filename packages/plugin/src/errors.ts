import { errorCodes } from './error-codes.ts';
import type { ErrorCode, ErrorRow } from './error-codes.ts';

/** What may be added to an error. */
export interface ErrorExtras {
  /** The error that led to this one, because it is the only trace of what really happened. One that holds a secret is replaced by a new `Error` of its name and redacted message. */
  readonly cause?: unknown;
  /** What the person does next, as one sentence or command. */
  readonly hint?: string;
  /** For `config.invalid` thrown by a plugin's `create`: which option is wrong, `sas` or `registry.query`. It is shown with its file and line. */
  readonly option?: string;
}

/** Marks an error whatever copy of this package made it: an installed plugin may carry its own. */
const mark = Symbol.for('pgsilo.error.1');

/**
 * The only error class of pgsilo and its plugins. `message` says what happened and to what; `hint` says what to do next.
 * Neither may hold a secret: text that came from elsewhere goes through `redact` first.
 * Told by {@link isPgsiloError}, never by `instanceof`.
 */
export class PgsiloError extends Error {
  static {
    Object.defineProperty(this.prototype, mark, { value: true });
  }

  override readonly name = 'PgsiloError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly option: string | undefined;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, 'cause' in extras ? { cause: extras.cause } : undefined);
    this.code = code;
    this.hint = extras.hint;
    this.option = extras.option;
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

/** Whether a thrown value is a {@link PgsiloError}, of whatever copy of this package. One with a code that is not in the table is none. */
export function isPgsiloError(error: unknown): error is PgsiloError {
  return isMarked(error) && Object.hasOwn(errorCodes, error.code);
}

function isMarked(error: unknown): error is PgsiloError {
  return typeof error === 'object' && error !== null && mark in error;
}

/** Gives any thrown value a code: a {@link PgsiloError} stays as it is, the platform's error of an abort becomes what it was aborted with, the rest gets `fallback`. */
export function toPgsiloError(error: unknown, fallback: ErrorCode = 'internal'): PgsiloError {
  if (isPgsiloError(error)) return error;
  const aborted = abortBehind(error);
  if (aborted) return aborted;
  const message = error instanceof Error ? error.message : String(error);
  // A later copy of this package may know codes that this one does not.
  const hint = isMarked(error) && error.hint !== undefined ? { hint: error.hint } : {};
  return new PgsiloError(fallback, message, { cause: error, ...hint });
}

/**
 * Libraries call a connection that broke an AbortError, too. Only two prove an abort: the reason that a signal has of itself, and an error that names its signal's reason as its cause,
 * as those of Node do.
 */
function abortBehind(error: unknown): PgsiloError | undefined {
  if (!(error instanceof Error) || error.name !== 'AbortError') return undefined;
  const reason = error instanceof DOMException ? error : error.cause;
  if (isPgsiloError(reason)) return reason;
  return reason instanceof DOMException && reason.name === 'AbortError'
    ? new PgsiloError('aborted', 'interrupted', { cause: error })
    : undefined;
}

/** Throws the signal's reason as a {@link PgsiloError} when it was aborted. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortReason(signal);
}

/** The reason of an aborted signal: the {@link PgsiloError} that it was aborted with, else `aborted`. */
export function abortReason(signal: AbortSignal): PgsiloError {
  return toPgsiloError(signal.reason ?? new PgsiloError('aborted', 'interrupted'), 'aborted');
}
