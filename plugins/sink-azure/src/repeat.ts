import { setTimeout as sleep } from 'node:timers/promises';
import { RestError } from '@azure/storage-blob';
import type { RequestPolicyFactory } from '@azure/storage-blob';
import { statusOf } from './errors.ts';

/** Single requests that can be repeated, for a few seconds in all. Times in milliseconds. */
const tries = 3;
const firstDelay = 400;
const longestDelay = 2000;

const passingStatuses: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
/** Of connections that broke or could not be made. */
const passingCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'REQUEST_SEND_ERROR',
]);

/**
 * Repeats requests in place of the SDK's own policy, which tells nobody that it does: a store that needs many repetitions is about to fail, and the run's
 * summary counts them. Bodies are buffers, so that each try sends the same.
 */
export function repeating(retried: () => void): RequestPolicyFactory {
  return {
    create: (next) => ({
      async sendRequest(request) {
        for (let done = 1; ; done += 1) {
          try {
            return await next.sendRequest(request);
          } catch (error) {
            if (done === tries || !mayPass(error) || request.abortSignal?.aborted) throw error;
          }
          retried();
          await pause(done, request.abortSignal);
        }
      },
    }),
  };
}

function mayPass(error: unknown): boolean {
  if (!(error instanceof RestError)) return false;
  const status = statusOf(error);
  return status === undefined ? passingCodes.has(error.code ?? '') : passingStatuses.has(status);
}

type Signal = Parameters<ReturnType<RequestPolicyFactory['create']>['sendRequest']>[0]['abortSignal'];

/** Jitter keeps many writers from coming back all at once. An abort ends it: the request that follows is the one that throws. */
async function pause(done: number, signal: Signal): Promise<void> {
  const stop = new AbortController();
  const end = (): void => stop.abort();
  signal?.addEventListener('abort', end);
  try {
    const longest = Math.min(longestDelay, firstDelay * 2 ** (done - 1));
    await sleep(longest * (0.5 + Math.random() / 2), undefined, { signal: stop.signal });
  } catch {
    // Ended early.
  } finally {
    signal?.removeEventListener('abort', end);
  }
}
