import { corrupt } from './corrupt.ts';

const nothing = new Uint8Array(0);

/** Reads a body by counts of bytes. Where the body ends too early it throws `transform.corrupt`. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = nothing;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#chunks = body[Symbol.asyncIterator]();
  }

  /** Exactly so many bytes; to be used for small counts. */
  async take(count: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for (let left = count; left > 0;) {
      const part = await this.some(left);
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts, count);
  }

  /** At least one byte and at most so many: what has come. */
  async some(most: number): Promise<Uint8Array> {
    if (await this.ended()) throw corrupt('they end too early');
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  async ended(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) return true;
      this.#rest = next.value;
    }
    return false;
  }

  /** Tells the body that no more is wanted. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
