import { crc32 } from 'node:zlib';

/** Size of a mark, in bytes. */
export const blockMarkBytes = 20;

/** Stands before each block, within whatever the format lets readers skip. */
export interface BlockMark {
  readonly kind: 'block';
  /** Place of the block in the stream, from 0. */
  readonly index: number;
  readonly rawBytes: number;
  readonly storedBytes: number;
  /** CRC-32 of the stored bytes: formats leave bits that no reader looks at, and a changed one must be seen too. */
  readonly storedCrc: number;
}

/** Stands behind the last block. A stream without it was cut. */
export interface EndMark {
  readonly kind: 'end';
  readonly blocks: number;
  readonly rawBytes: number;
  /** CRC-32 over the blocks' own, in order: {@link chainCrc}. */
  readonly chain: number;
}

const tags = { block: Buffer.from('PSB1'), end: Buffer.from('PSE1') } as const;

/** The mark as bytes, numbers little-endian: tag, index, raw size, stored size, CRC; or tag, count, total of 64 bits, CRC. */
export function writeMark(mark: BlockMark | EndMark): Buffer {
  const bytes = Buffer.alloc(blockMarkBytes);
  tags[mark.kind].copy(bytes);
  if (mark.kind === 'block') {
    bytes.writeUInt32LE(mark.index, 4);
    bytes.writeUInt32LE(mark.rawBytes, 8);
    bytes.writeUInt32LE(mark.storedBytes, 12);
    bytes.writeUInt32LE(mark.storedCrc, 16);
  } else {
    bytes.writeUInt32LE(mark.blocks, 4);
    bytes.writeBigUInt64LE(BigInt(mark.rawBytes), 8);
    bytes.writeUInt32LE(mark.chain, 16);
  }
  return bytes;
}

/** Undefined when the bytes are no mark. */
export function readMark(bytes: Buffer): BlockMark | EndMark | undefined {
  if (bytes.length !== blockMarkBytes) return undefined;
  const tag = bytes.subarray(0, 4);
  if (tag.equals(tags.block)) {
    return {
      kind: 'block',
      index: bytes.readUInt32LE(4),
      rawBytes: bytes.readUInt32LE(8),
      storedBytes: bytes.readUInt32LE(12),
      storedCrc: bytes.readUInt32LE(16),
    };
  }
  if (tag.equals(tags.end)) {
    const rawBytes = Number(bytes.readBigUInt64LE(8));
    return { kind: 'end', blocks: bytes.readUInt32LE(4), rawBytes, chain: bytes.readUInt32LE(16) };
  }
  return undefined;
}

/** Binds the blocks to their order: the chain after a block whose stored bytes have this CRC. Begins at 0. */
export function chainCrc(chain: number, storedCrc: number): number {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(storedCrc);
  return crc32(bytes, chain);
}
