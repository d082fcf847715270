import type { Body } from './context.ts';
import { abortReason, throwIfAborted } from './errors.ts';

/**
 * The same body, which throws the signal's reason as soon as it is aborted, even while the body stalls.
 * The body is told to close then and not waited for. What it throws itself comes out as it is.
 */
export async function* untilAborted(body: Body, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      throwIfAborted(signal);
      const next = await orAborted(chunks.next(), signal);
      if (next.done) {
        ended = true;
        throwIfAborted(signal);
        return;
      }
      yield next.value;
    }
  } catch (error) {
    // It threw, or it stalls: in neither case is it waited for.
    ended = true;
    void close(chunks);
    throw error;
  } finally {
    if (!ended) await close(chunks);
  }
}

async function orAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(abortReason(signal));
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([call, aborted]);
  } finally {
    if (stop) signal.removeEventListener('abort', stop);
  }
}

async function close(chunks: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    await chunks.return?.();
  } catch {
    // Its reader has an error of its own to tell, or has gone.
  }
}
