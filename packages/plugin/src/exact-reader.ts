import type { Body } from './context.ts';

/** Reads so many bytes at a time from a body, whatever its chunks. */
export class ExactReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();
  #ended = false;

  constructor(body: Body) {
    this.#chunks = body[Symbol.asyncIterator]();
  }

  /** Exactly `count` bytes, fewer only at the body's end. For small counts. */
  async read(count: number): Promise<Buffer> {
    const bytes = await this.fill(count, () => new Uint8Array(count));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** As `read`: the bytes as they came where one chunk holds them all, or copied into what `block` gives. */
  async fill(count: number, block: () => Uint8Array): Promise<Uint8Array> {
    if (this.#rest.length >= count) return this.#take(count);
    const into = block();
    let filled = 0;
    while (filled < count && (await this.#more())) {
      const piece = this.#take(Math.min(count - filled, this.#rest.length));
      into.set(piece, filled);
      filled += piece.length;
    }
    return into.subarray(0, filled);
  }

  async close(): Promise<void> {
    if (!this.#ended) await this.#chunks.return?.();
    this.#ended = true;
  }

  #take(count: number): Uint8Array {
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return taken;
  }

  async #more(): Promise<boolean> {
    while (this.#rest.length === 0 && !this.#ended) {
      let next: IteratorResult<Uint8Array>;
      try {
        next = await this.#chunks.next();
      } catch (error) {
        this.#ended = true;
        throw error;
      }
      if (next.done) this.#ended = true;
      else this.#rest = next.value;
    }
    return this.#rest.length > 0;
  }
}
