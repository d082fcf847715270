import type { ByteReader } from './byte-reader.ts';
import { corrupt } from './corrupt.ts';

/** RFC 9580, 5: the packets that occur here. 20 is what gpg 2.3 and later write to keys that ask for it. */
export const tags = {
  publicKeySessionKey: 1,
  signature: 2,
  passphraseSessionKey: 3,
  onePassSignature: 4,
  compressed: 8,
  marker: 10,
  literal: 11,
  protectedData: 18,
  ocbData: 20,
} as const;

/** A part of a packet whose length is not known before its end. */
const partBits = 16;
const partBytes = 1 << partBits;

export interface PacketHead {
  readonly bytes: Buffer;
  readonly tag: number;
  readonly length: PacketLength;
}

interface PacketLength {
  /** Infinity: to the end of everything, as gpg writes what it compressed. */
  readonly bytes: number;
  /** More of the packet follows, behind a length of its own. */
  readonly partial: boolean;
}

export async function readHead(reader: ByteReader): Promise<PacketHead> {
  const first = await reader.take(1);
  const byte = first[0]!;
  if ((byte & 0x80) === 0) throw corrupt('they are no OpenPGP message');
  if ((byte & 0x40) === 0) {
    // The old form, of which gpg still writes some packets.
    const kind = byte & 3;
    const bytes = await reader.take(kind === 3 ? 0 : 1 << kind);
    const length = { bytes: kind === 3 ? Infinity : bytes.readUIntBE(0, bytes.length), partial: false };
    return { bytes: Buffer.concat([first, bytes]), tag: (byte >> 2) & 15, length };
  }
  const second = await reader.take(1);
  const [length, more] = await readLength(reader, second[0]!);
  return { bytes: Buffer.concat([first, second, more]), tag: byte & 0x3f, length };
}

/** What is in a packet. Throws `transform.corrupt` when there is less than its length says. */
export async function* readContent(reader: ByteReader, { length }: PacketHead): AsyncGenerator<Uint8Array> {
  for (;;) {
    for (let left = length.bytes; left > 0;) {
      if (left === Infinity && (await reader.ended())) return;
      const part = await reader.some(left);
      left -= part.length;
      yield part;
    }
    if (!length.partial) return;
    const next = await reader.take(1);
    [length] = await readLength(reader, next[0]!);
  }
}

/** RFC 9580, 4.2.1. Returns also the bytes that were read for it. */
async function readLength(reader: ByteReader, first: number): Promise<[PacketLength, Buffer]> {
  if (first < 192) return [{ bytes: first, partial: false }, Buffer.alloc(0)];
  if (first < 224) {
    const more = await reader.take(1);
    return [{ bytes: ((first - 192) << 8) + more[0]! + 192, partial: false }, more];
  }
  if (first < 255) return [{ bytes: 2 ** (first & 31), partial: true }, Buffer.alloc(0)];
  const more = await reader.take(4);
  return [{ bytes: more.readUInt32BE(0), partial: false }, more];
}

/**
 * A packet of this content, in parts, each of which comes as one chunk.
 * @param passing whoever reads a chunk has done with it when asking for the next, so that all can use the same memory.
 */
export async function* writePacket(
  tag: number,
  content: AsyncIterable<Uint8Array>,
  passing = false,
): AsyncGenerator<Buffer> {
  let first = true;
  // Room for tag and length before what is copied: each byte is copied once.
  const room = 2;
  let part = Buffer.allocUnsafe(room + partBytes);
  let end = room;
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length;) {
      const copied = chunk.subarray(at, at + part.length - end);
      part.set(copied, end);
      end += copied.length;
      at += copied.length;
      if (end < part.length) continue;
      part[0] = 0xc0 | tag;
      part[1] = 0xe0 | partBits;
      yield first ? part : part.subarray(1);
      first = false;
      if (!passing) part = Buffer.allocUnsafe(room + partBytes);
      end = room;
    }
  }
  const head = first ? Buffer.of(0xc0 | tag) : Buffer.alloc(0);
  yield Buffer.concat([head, lengthOf(end - room), part.subarray(room, end)]);
}

function lengthOf(bytes: number): Buffer {
  if (bytes < 192) return Buffer.of(bytes);
  if (bytes < 8384) return Buffer.of(((bytes - 192) >> 8) + 192, (bytes - 192) & 0xff);
  const length = Buffer.alloc(5, 0xff);
  length.writeUInt32BE(bytes, 1);
  return length;
}
