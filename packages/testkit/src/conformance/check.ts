import { setTimeout as sleep } from 'node:timers/promises';
import { inspect, isDeepStrictEqual } from 'node:util';
import { isPgsiloError, abortReason, PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Context, ErrorCode } from '@pgsilo/plugin';

/** One promise of a contract, tried out. Plain data: runs under any test runner, in `pgsilo doctor`, or by hand. */
export interface Check<Factory> {
  /** Unique within its suite. */
  readonly name: string;
  /** What the contract promises, as a sentence. */
  readonly promise: string;
  /** What goes wrong for a user when it is broken. */
  readonly reason: string;
  /** `heavy`: sends more than a mebibyte or hundreds of requests, too much for a look at a store that somebody pays for. */
  readonly cost?: 'heavy';
  /**
   * Rejects when the promise is broken, with a message that says what was seen.
   * Resolves to a sentence when the check does not apply, and why.
   */
  run(factory: Factory, context: Context): Promise<string | void>;
}

export interface CheckOutcome {
  readonly name: string;
  readonly status: 'passed' | 'failed' | 'waived';
  /** Why it failed or was waived. */
  readonly message?: string;
  readonly error?: unknown;
}

/** What a suite's subject can say about the suite itself. */
export interface Waivable {
  /** Checks that cannot hold for this subject, by name, each with its reason. */
  readonly waived?: Readonly<Record<string, string>>;
}

/** What a check says of itself. */
export type CheckAbout = Pick<Check<never>, 'name' | 'promise' | 'reason' | 'cost'>;

/**
 * Declares a check of one kind of subject: makes the subject, honours its waiver, tries it out, and clears up afterwards, however that ends.
 * @param prepare what the check is given beside what the factory made.
 */
export function declareCheck<Subject extends Waivable, Prepared>(
  about: CheckAbout,
  prepare: (subject: Subject, context: Context) => Prepared,
  tryOut: (prepared: Prepared) => Promise<string | void>,
  clear: (prepared: Prepared) => Promise<void>,
): Check<() => Promise<Subject>> {
  return {
    ...about,
    async run(factory, context) {
      const subject = await factory();
      const prepared = prepare(subject, context);
      try {
        return subject.waived?.[about.name] ?? (await tryOut(prepared));
      } finally {
        await clear(prepared);
      }
    },
  };
}

/** A check that hangs is a failure. Milliseconds. */
export const checkDeadline = 120_000;

/** How long a check that was interrupted or hangs may take to undo what it did. Milliseconds. */
const undoDeadline = 30_000;

/** Runs the checks one after another. Throws the reason when the context's signal is aborted, after what ran then has been undone. */
export async function* runChecks<Factory>(
  checks: readonly Check<Factory>[],
  factory: Factory,
  context: Context,
): AsyncGenerator<CheckOutcome> {
  for (const check of checks) {
    const outcome = await runCheck(check, factory, context);
    throwIfAborted(context.signal);
    yield outcome;
  }
}

/** Runs one check; never rejects. Its calls are aborted when it hangs, and when the context's signal is; what it stored is removed in either case. */
export async function runCheck<Factory>(
  check: Check<Factory>,
  factory: Factory,
  context: Context,
): Promise<CheckOutcome> {
  const { context: own, abort } = abortable(context);
  // Begun after the deadline's timer, so that checks which count what is open do not count it.
  const run = Promise.resolve().then(() => check.run(factory, own));
  try {
    const waiver = await within(checkDeadline, `the check "${check.name}"`, orAborted(run, context.signal));
    if (typeof waiver === 'string') return { name: check.name, status: 'waived', message: waiver };
    return { name: check.name, status: 'passed' };
  } catch (error) {
    abort();
    await settle(within(undoDeadline, 'undoing', run));
    return { name: check.name, status: 'failed', message: messageOf(error), error };
  }
}

async function orAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const stop = (): void => aborted.reject(abortReason(signal));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([call, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A broken promise, as distinct from an error of the subject that a check did not expect. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise';
}

export function broken(message: string, cause?: unknown): never {
  throw new BrokenPromise(message, cause === undefined ? undefined : { cause });
}

export function mustEqual(seen: unknown, wanted: unknown, what: string): void {
  if (!isDeepStrictEqual(seen, wanted)) broken(`${what}: expected ${short(wanted)}, got ${short(seen)}`);
}

/** The call must reject with a `PgsiloError` of this code. */
export async function mustReject(
  call: Promise<unknown>,
  code: ErrorCode,
  doing: string,
): Promise<PgsiloError> {
  const outcome = await settle(call);
  if ('value' in outcome) return broken(`${doing} must throw ${code}, but it succeeded`);
  const { error } = outcome;
  if (!isPgsiloError(error))
    return broken(`${doing} must throw a PgsiloError ${code}, but threw ${short(error)}`, error);
  if (error.code !== code)
    return broken(`${doing} must throw ${code}, but threw ${error.code}: ${error.message}`, error);
  return error;
}

/** The call must reject with this very value. */
export async function mustRejectWith(call: Promise<unknown>, wanted: unknown, doing: string): Promise<void> {
  const outcome = await settle(call);
  if ('value' in outcome) return broken(`${doing} must throw, but it succeeded`);
  if (outcome.error !== wanted)
    return broken(
      `${doing} must throw the very error that the body threw, but threw ${short(outcome.error)}`,
    );
}

export type Settled<T> = { readonly value: T } | { readonly error: unknown };

export async function settle<T>(call: Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await call };
  } catch (error) {
    return { error };
  }
}

/** The call must settle, either way, within so many milliseconds. */
export async function within<T>(milliseconds: number, what: string, call: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(milliseconds, undefined, { signal: timer.signal, ref: true }).then(() =>
    broken(`${what} did not end within ${milliseconds / 1000} s`),
  );
  late.catch(() => {});
  try {
    return await Promise.race([call, late]);
  } finally {
    timer.abort();
  }
}

/** The same context with a signal of its own. */
export function abortable(context: Context): { readonly context: Context; abort(): PgsiloError } {
  const controller = new AbortController();
  const signal = AbortSignal.any([context.signal, controller.signal]);
  return {
    context: { ...context, signal, scratch: (bytes) => context.scratch(bytes) },
    abort() {
      const reason = new PgsiloError('aborted', 'interrupted by a check');
      controller.abort(reason);
      return reason;
    },
  };
}

/** The same context for undoing what a check did: an abort does not reach it, and it does not wait for ever. */
export function undoing(context: Context): Context {
  const signal = AbortSignal.timeout(undoDeadline);
  return { ...context, signal, scratch: (bytes) => context.scratch(bytes) };
}

function short(value: unknown): string {
  const text =
    value instanceof Error
      ? `${value.name}: ${value.message}`
      : inspect(value, { breakLength: Infinity, maxArrayLength: 12 });
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
