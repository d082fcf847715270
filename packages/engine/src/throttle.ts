import type { Body, Clock } from '@pgsilo/plugin';

/** Milliseconds. Clocks and timers are not finer than one; what is not waited for now is waited for with the next chunks. */
const shortestWait = 10;

/** Lets bytes pass no faster than a rate, over all bodies that go through it at once. What was not used is not saved up, so there is no burst after a pause. */
export class Throttle {
  readonly #bytesPerMillisecond: number;
  readonly #clock: Clock;
  /** Bytes that have passed ahead of their time, as of `#since`. */
  #debt = 0;
  #since: number;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMillisecond = bytesPerSecond / 1000;
    this.#clock = clock;
    this.#since = clock.now().getTime();
  }

  /** The same body, held back. A chunk passes whole, as soon as those before it are paid for. */
  async *limit(body: Body, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of body) {
      const wait = this.#take(chunk.byteLength);
      if (wait >= shortestWait) await this.#clock.sleep(wait, signal);
      yield chunk;
    }
  }

  /** Counts bytes in, and says how many milliseconds those before them need. */
  #take(bytes: number): number {
    const now = this.#clock.now().getTime();
    // A clock that is set back pays nothing; it must not make anybody wait for the time that it lost.
    const paid = Math.max(0, now - this.#since) * this.#bytesPerMillisecond;
    this.#since = now;
    this.#debt = Math.max(0, this.#debt - paid);
    const wait = this.#debt / this.#bytesPerMillisecond;
    this.#debt += bytes;
    return wait;
  }
}
