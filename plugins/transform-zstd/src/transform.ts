import { promisify } from 'node:util';
import { constants, zstdDecompress } from 'node:zlib';
import type { Transform } from '@pgsilo/plugin';
import { blockTransform } from '@pgsilo/plugin/blocks';
import type { BlockFormat } from '@pgsilo/plugin/blocks';
import { FrameCompressor } from './frame-compressor.ts';
import type { Options } from './options.ts';

const decompress = promisify(zstdDecompress);

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
    unpack: (stored, rawBytes) =>
      decompress(stored, {
        chunkSize: rawBytes + 64,
        maxOutputLength: rawBytes,
        // A frame may ask for a window of 128 MiB whatever its length.
        params: { [constants.ZSTD_d_windowLogMax]: Math.max(10, Math.ceil(Math.log2(rawBytes))) },
      }),
  };
}
