import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { Body } from '@pgsilo/plugin';

/** Counts and hashes a body as it passes, unchanged. */
export class Meter {
  #bytes = 0;
  #ended = false;
  readonly #hash: Hash = createHash('sha256');
  readonly #onBytes: ((count: number) => void) | undefined;

  constructor(onBytes?: (count: number) => void) {
    this.#onBytes = onBytes;
  }

  async *watch(body: Body): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of body) {
      this.#bytes += chunk.byteLength;
      this.#hash.update(chunk);
      this.#onBytes?.(chunk.byteLength);
      yield chunk;
    }
    this.#ended = true;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the body was read to its end. A stage that stops early and calls it success is found by this. */
  get ended(): boolean {
    return this.#ended;
  }

  /** SHA-256 in hex; to be asked for once, after the end. */
  digest(): string {
    return this.#hash.digest('hex');
  }
}
