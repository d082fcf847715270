import type { Transform } from 'node:stream';

/** Passes blocks through a stream of zlib, one at a time, each of which comes out before the next goes in. What the stream needs is made once and not for each block. */
export class OneByOne {
  readonly #stream: Transform;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #most = 0;
  #settle: ((error: Error | null | undefined) => void) | undefined;

  /** @param stream used by nobody else. */
  constructor(stream: Transform) {
    this.#stream = stream;
    stream.on('data', (piece: Buffer) => {
      this.#bytes += piece.length;
      if (this.#bytes > this.#most) stream.destroy(new Error(`more than ${this.#most} bytes come out`));
      else this.#pieces.push(piece);
    });
    // A stream that fails or is destroyed never calls back for what was written.
    stream.on('error', (error) => this.#settle?.(error));
    stream.on('close', () => this.#settle?.(new Error('the stream was closed')));
  }

  /** What comes out for `block`. Rejects when that is more than `most` bytes, or the stream fails; it is of no use then. */
  pass(block: Uint8Array, most: number): Promise<Uint8Array> {
    if (this.#settle) throw new Error('a block is on its way');
    this.#most = most;
    this.#bytes = 0;
    return new Promise((resolve, reject) => {
      this.#settle = (error) => {
        const pieces = this.#pieces;
        this.#pieces = [];
        this.#settle = undefined;
        if (error) reject(error);
        else if (this.#stream.readableLength > 0) reject(new Error('zlib kept a part of it back'));
        else resolve(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
      };
      this.#stream.write(block, (error) => this.#settle?.(error));
    });
  }

  /** Frees what it holds. */
  close(): void {
    this.#stream.destroy();
  }
}
