import { constants, createZstdCompress } from 'node:zlib';
import type { ZstdCompress } from 'node:zlib';

/**
 * Makes a frame of each block, one at a time. Its tables, some megabytes, are made once and not for each block: a twelfth of the processor time of a whole
 * backup was theirs, with the memory that was fetched and given back for them.
 */
export class FrameCompressor {
  readonly #stream: ZstdCompress;
  #pieces: Buffer[] = [];

  /** @param largestFrame the most bytes that a block becomes. */
  constructor(level: number, largestFrame: number) {
    this.#stream = createZstdCompress({
      // What is written at once becomes a whole frame, and its header says how long the block is.
      flush: constants.ZSTD_e_end,
      // One pass through the thread pool for a block that does not shrink, and nothing to put together.
      chunkSize: largestFrame,
      params: {
        [constants.ZSTD_c_compressionLevel]: level,
        [constants.ZSTD_c_contentSizeFlag]: 1,
        // Off by default, and `zstd -d` then prints altered bytes without complaint.
        [constants.ZSTD_c_checksumFlag]: 1,
      },
    });
    this.#stream.on('data', (piece: Buffer) => this.#pieces.push(piece));
    // Told to who waits for the block; later ones are refused by the stream itself.
    this.#stream.on('error', () => {});
  }

  pack(block: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#stream.write(block, (error) => {
        const pieces = this.#pieces;
        this.#pieces = [];
        if (error) reject(error);
        else if (this.#stream.readableLength > 0) reject(new Error('zstd kept a part of a frame back'));
        else resolve(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces));
      });
    });
  }
}
