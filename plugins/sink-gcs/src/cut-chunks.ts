import { SpareBlocks } from '@pgsilo/plugin/blocks';
import type { Body } from '@pgsilo/plugin';
import { crc32c } from './crc32c.ts';

/** Bytes. Up to this size small bodies take no memory but their own. */
const small = 256 * 1024;

export interface Chunk {
  readonly bytes: Uint8Array;
  readonly last: boolean;
  /** CRC32C of the body up to the end of this chunk. */
  readonly crc: number;
  /** Its memory may be filled anew. */
  done(): void;
}

/**
 * Cuts a body into chunks of one size, each copied once; only the last may be shorter, and only that of an empty body is empty.
 * Which chunk is the last has to be said with it: that is known from one piece of the body that is read ahead.
 */
export async function* cutChunks(body: Body, size: number): AsyncGenerator<Chunk> {
  const spare = new SpareBlocks();
  let block: Uint8Array = Buffer.allocUnsafeSlow(Math.min(size, small));
  let filled = 0;
  let crc = 0;
  const chunk = (last: boolean): Chunk => {
    const whole = block;
    return { bytes: whole.subarray(0, filled), last, crc, done: () => spare.giveBack(whole) };
  };
  for await (const piece of body) {
    for (let from = 0; from < piece.length;) {
      if (filled === size) {
        yield chunk(false);
        block = spare.take(size);
        filled = 0;
      } else if (filled === block.length) {
        const larger = spare.take(size);
        larger.set(block);
        block = larger;
      }
      const some = piece.subarray(from, from + block.length - filled);
      block.set(some, filled);
      crc = crc32c(some, crc);
      from += some.length;
      filled += some.length;
    }
  }
  yield chunk(true);
}
