import { throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { Clock, ErrorCode, PgsiloError } from '@pgsilo/plugin';

/** How often and how patiently a call is repeated. */
export interface RetryPolicy {
  /** Tries in all. */
  readonly attempts: number;
  /** Milliseconds before the second try; doubled for each further one, and cut by up to half at random so that many callers do not return at once. */
  readonly backoff: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told before each wait. */
  readonly onRetry?: (error: PgsiloError, attempt: number, delay: number) => void;
}

const longestDelay = 60_000;

/** Milliseconds to wait after the given number of failed tries. */
export function backoffDelay(backoff: number, failed: number): number {
  return Math.round(Math.min(backoff * 2 ** (failed - 1), longestDelay) * (1 - Math.random() / 2));
}

/** Repeats `work` while it fails with a code that says retryable. Only for calls that may be made twice. */
export async function withRetry<Result>(
  policy: RetryPolicy,
  fallback: ErrorCode,
  work: () => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(policy.signal);
    try {
      return await work();
    } catch (thrown) {
      const error = toPgsiloError(thrown, fallback);
      if (!error.retryable || attempt >= policy.attempts || policy.signal.aborted) throw error;
      const delay = backoffDelay(policy.backoff, attempt);
      policy.onRetry?.(error, attempt, delay);
      await policy.clock.sleep(delay, policy.signal);
    }
  }
}
