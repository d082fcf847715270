import { promisify } from 'node:util';
import { crc32, gzip, inflateRaw } from 'node:zlib';
import type { InputType, ZlibOptions } from 'node:zlib';
import type { Transform } from '@pgsilo/plugin';
import { blockTransform } from '@pgsilo/plugin/blocks';
import type { BlockFormat } from '@pgsilo/plugin/blocks';
import type { Options } from './options.ts';

const compress = promisify<InputType, ZlibOptions, NonSharedBuffer>(gzip);
const inflate = promisify<InputType, ZlibOptions, NonSharedBuffer>(inflateRaw);

/** A member's header without optional fields, as zlib writes it (RFC 1952, 2.3). */
const plainHeaderBytes = 10;
/** CRC-32 and size of the raw bytes. */
const trailerBytes = 8;
/** Deflate, extra field present, no time, no name, operating system unknown. */
const header = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255]);
/** An empty last deflate block and the trailer of nothing. */
const emptyMember = Buffer.concat([Buffer.from([3, 0]), Buffer.alloc(trailerBytes)]);

export function createGzipTransform(options: Options): Transform {
  return blockTransform(gzipFormat(options.level), {
    suffix: '.gz',
    byHand: 'gzip -d',
    blockSize: options.blockSize,
  });
}

/** Each block is a member of its own; the extra field of its header carries its mark, under the subfield id `PS`. */
function gzipFormat(level: number): BlockFormat {
  return {
    name: 'gzip',
    head(mark) {
      const lengths = Buffer.alloc(6);
      lengths.writeUInt16LE(4 + mark.length, 0);
      lengths.write('PS', 2, 'latin1');
      lengths.writeUInt16LE(mark.length, 4);
      return Buffer.concat([header, lengths, mark]);
    },
    tail: emptyMember,
    largestStored: (rawBytes) => rawBytes + (rawBytes >> 8) + 1024,
    async pack(raw) {
      // Most blocks shrink to less: one pass through the thread pool then, and no large buffer is held by a small result.
      const member = await compress(raw, { level, chunkSize: Math.max(1024, raw.length >> 1) });
      return member.subarray(plainHeaderBytes);
    },
    async unpack(stored, rawBytes) {
      const trailer = Buffer.from(
        stored.buffer,
        stored.byteOffset + stored.length - trailerBytes,
        trailerBytes,
      );
      const raw = await inflate(stored.subarray(0, -trailerBytes), {
        chunkSize: rawBytes + 64,
        maxOutputLength: rawBytes,
      });
      if (trailer.readUInt32LE(0) !== crc32(raw) || trailer.readUInt32LE(4) !== raw.length) {
        throw new Error('the check value of a member is wrong');
      }
      return raw;
    },
  };
}
