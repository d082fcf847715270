import type { Transform } from '@pgsilo/plugin';
import { blockTransform } from '@pgsilo/plugin/blocks';
import type { BlockFormat } from '@pgsilo/plugin/blocks';
import { FrameCompressor, FrameDecompressor } from './frames.ts';
import type { Options } from './options.ts';

/** Decompressors that wait for the next block, at most; each holds some megabytes. */
const mostWaiting = 8;

/** First of the sixteen magic numbers of skippable frames (RFC 8878, 3.1.2). */
const skippableMagic = 0x184d2a50;

export function createZstdTransform(options: Options): Transform {
  return blockTransform(zstdFormat(options), {
    suffix: '.zst',
    byHand: 'zstd -d',
    blockSize: options.blockSize,
  });
}

/** Some bytes more than ZSTD_COMPRESSBOUND. */
function largestStored(rawBytes: number): number {
  return rawBytes + (rawBytes >> 8) + 1024;
}

/** Each block is a frame of its own; a skippable frame before it carries its mark. */
function zstdFormat({ level, blockSize }: Options): BlockFormat {
  /** As many as there were blocks in flight at once. */
  const idle: FrameCompressor[] = [];
  const waiting: FrameDecompressor[] = [];
  return {
    name: 'zstd',
    head(mark) {
      const frame = Buffer.alloc(8 + mark.length);
      frame.writeUInt32LE(skippableMagic, 0);
      frame.writeUInt32LE(mark.length, 4);
      mark.copy(frame, 8);
      return frame;
    },
    tail: Buffer.alloc(0),
    largestStored,
    async pack(raw) {
      const compressor = idle.pop() ?? new FrameCompressor(level, largestStored(blockSize));
      const frame = await compressor.pack(raw);
      // One that failed is not used again.
      idle.push(compressor);
      return frame;
    },
    async unpack(stored, rawBytes) {
      const at = waiting.findIndex(({ largest }) => largest >= rawBytes);
      const [one = new FrameDecompressor(rawBytes)] = at === -1 ? [] : waiting.splice(at, 1);
      try {
        const raw = await one.unpack(stored, rawBytes);
        waiting.push(one);
        if (waiting.length > mostWaiting) waiting.shift()!.close();
        return raw;
      } catch (error) {
        one.close();
        throw error;
      }
    },
  };
}
