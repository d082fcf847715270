import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { OneByOne } from './one-by-one.ts';
import { isOneFrame } from './one-frame.ts';

const enough = 4 * 1024 * 1024;
/** What Node wants at least. */
const least = 64;

/**
 * How much memory zlib fetches at once for what comes out, in bytes: room for two results. One that lies across two pieces must be put together, and goes through the thread pool twice.
 * @param largest bytes of one result
 */
function roomFor(largest: number): number {
  return Math.max(least, largest, Math.min(2 * largest, enough));
}

/**
 * Makes a frame of each block. Its tables, some megabytes, are made once and not for each block: a twelfth of the processor time of a whole
 * backup was theirs, with the memory that was fetched and given back for them.
 */
export class FrameCompressor {
  readonly #blocks: OneByOne;
  readonly #largest: number;

  /** @param largestFrame the most bytes that a block becomes. */
  constructor(level: number, largestFrame: number) {
    this.#largest = largestFrame;
    this.#blocks = new OneByOne(
      createZstdCompress({
        // What is written at once becomes a whole frame, and its header says how long the block is.
        flush: constants.ZSTD_e_end,
        chunkSize: roomFor(largestFrame),
        params: {
          [constants.ZSTD_c_compressionLevel]: level,
          [constants.ZSTD_c_contentSizeFlag]: 1,
          // Off by default, and `zstd -d` then prints altered bytes without complaint.
          [constants.ZSTD_c_checksumFlag]: 1,
        },
      }),
    );
  }

  pack(block: Uint8Array): Promise<Uint8Array> {
    return this.#blocks.pass(block, this.#largest);
  }
}

/**
 * Reads frames, one at a time, each of one block. Node's `zstdDecompress` makes its tables anew for each of them and goes through the thread pool twice, which
 * the main thread has no time for when it decrypts too.
 */
export class FrameDecompressor {
  /** Bytes that a frame may hold. */
  readonly largest: number;
  readonly #blocks: OneByOne;

  constructor(largest: number) {
    this.largest = largest;
    this.#blocks = new OneByOne(
      createZstdDecompress({
        chunkSize: roomFor(largest),
        // A frame may ask for a window of 128 MiB whatever its length.
        params: { [constants.ZSTD_d_windowLogMax]: Math.max(10, Math.ceil(Math.log2(largest))) },
      }),
    );
  }

  /** What one frame holds. Rejects when these bytes are no whole frame, and when it holds more than `most` bytes; it is of no use then. */
  async unpack(frame: Uint8Array, most: number): Promise<Uint8Array> {
    if (!isOneFrame(frame)) throw new Error('it is not one whole frame');
    return this.#blocks.pass(frame, most);
  }

  /** Frees its tables. */
  close(): void {
    this.#blocks.close();
  }
}
