import { setTimeout as delay } from 'node:timers/promises';
import { abortReason, throwIfAborted } from '@pgsilo/plugin';
import type { Body } from '@pgsilo/plugin';

/** Milliseconds that a plugin has to end after it was told to; then it is left behind rather than waited for. */
export const endGrace = 15_000;

/**
 * The same items, but a wait for the next one ends with the signal's reason when it is aborted, even when the producer does not listen.
 * The producer is told to end (`return()`), and waited for no longer than {@link endGrace}.
 */
export async function* interruptible<Item>(
  items: AsyncIterable<Item>,
  signal: AbortSignal,
): AsyncGenerator<Item, void, undefined> {
  throwIfAborted(signal);
  const iterator = items[Symbol.asyncIterator]();
  let finished = false;
  let overtake: ((reason: unknown) => void) | undefined;
  // One listener and no Promise.race: racing each item against one long-lived promise would keep every item in memory.
  const onAbort = (): void => overtake?.(abortReason(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<Item>>((resolve, reject) => {
        overtake = reject;
        if (signal.aborted) return onAbort();
        iterator.next().then(resolve, (error: unknown) => {
          finished = true;
          reject(error);
        });
      });
      if (next.done) {
        finished = true;
        return;
      }
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (!finished) await settled(iterator.return?.());
  }
}

/** As {@link interruptible}, for bodies. */
export function interruptibleBody(body: Body, signal: AbortSignal): Body {
  return { [Symbol.asyncIterator]: () => interruptible(body, signal) };
}

/** Waits for the work, or rejects with the signal's reason. The work itself must listen to the signal too. */
export async function orAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  throwIfAborted(signal);
  const aborted = abortion(signal);
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    aborted.forget();
  }
}

/** Waits until it is settled, either way, but no longer than {@link endGrace}. */
export async function settled(work: Promise<unknown> | undefined): Promise<void> {
  if (!work) return;
  const timer = new AbortController();
  const done = work.then(
    () => undefined,
    () => undefined,
  );
  await Promise.race([done, delay(endGrace, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}

function abortion(signal: AbortSignal): { readonly promise: Promise<never>; forget(): void } {
  let listener = (): void => undefined;
  const promise = new Promise<never>((_resolve, reject) => {
    listener = () => reject(abortReason(signal));
    if (signal.aborted) listener();
    else signal.addEventListener('abort', listener, { once: true });
  });
  // Nobody may be waiting when it rejects.
  promise.catch(() => undefined);
  return { promise, forget: () => signal.removeEventListener('abort', listener) };
}
