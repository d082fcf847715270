import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import type { Transform } from '@pgsilo/plugin';
import { blockTransform } from '@pgsilo/plugin/blocks';
import type { BlockFormat } from '@pgsilo/plugin/blocks';
import type { Options } from './options.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** First of the sixteen magic numbers of skippable frames (RFC 8878, 3.1.2). */
const skippableMagic = 0x184d2a50;

export function createZstdTransform(options: Options): Transform {
  return blockTransform(zstdFormat(options.level), {
    suffix: '.zst',
    byHand: 'zstd -d',
    blockSize: options.blockSize,
  });
}

/** Each block is a frame of its own; a skippable frame before it carries its mark. */
function zstdFormat(level: number): BlockFormat {
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
    largestStored: (rawBytes) => rawBytes + (rawBytes >> 8) + 1024,
    pack: (raw) =>
      compress(raw, {
        // Most blocks shrink to less: one pass through the thread pool then, and no large buffer is held by a small result.
        chunkSize: Math.max(1024, raw.length >> 2),
        pledgedSrcSize: raw.length,
        params: {
          [constants.ZSTD_c_compressionLevel]: level,
          [constants.ZSTD_c_contentSizeFlag]: 1,
          // Off by default, and `zstd -d` then prints altered bytes without complaint.
          [constants.ZSTD_c_checksumFlag]: 1,
        },
      }),
    unpack: (stored, rawBytes) =>
      decompress(stored, {
        chunkSize: rawBytes + 64,
        maxOutputLength: rawBytes,
        // A frame may ask for a window of 128 MiB whatever its length.
        params: { [constants.ZSTD_d_windowLogMax]: Math.max(10, Math.ceil(Math.log2(rawBytes))) },
      }),
  };
}
