import type { Body } from './context.ts';
import { untilAborted } from './until-aborted.ts';

/** A body on its way into a store. */
export interface Intake {
  /** To be read once. Ends by throwing when the signal is aborted, even while the body stalls. */
  readonly body: AsyncGenerator<Uint8Array>;
  /** How much was read so far. */
  readonly bytes: number;
  /**
   * Throws what the body threw, if it did. To be called where a put has failed: libraries wrap the error of a body, or lose it behind one of the
   * connection, and it has to come out as it was.
   */
  rethrow(): void;
}

/**
 * What every `Sink.put` does with its body, whatever library sends it.
 * Where parts of the body are sent beside each other, one that fails must end the body too: give `AbortSignal.any([context.signal, stop.signal])` and call `stop.abort(error)`.
 */
export function takeIn(body: Body, signal: AbortSignal): Intake {
  let bytes = 0;
  let failure: { readonly error: unknown } | undefined;
  async function* counted(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of untilAborted(body, signal)) {
        bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      failure = { error };
      throw error;
    }
  }
  return {
    body: counted(),
    get bytes() {
      return bytes;
    },
    rethrow() {
      if (failure) throw failure.error;
    },
  };
}
