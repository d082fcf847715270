import { PgsiloError } from '@pgsilo/plugin';

export const tarBlock = 512;

/** What ends a tar: two blocks of zeros. */
export const tarEnd: Uint8Array = new Uint8Array(2 * tarBlock);

export interface TarHeader {
  /** Read as latin1: a file's name may be any bytes. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'other';
  /** Bytes that follow, without what fills the last block. */
  readonly size: number;
}

const types: Readonly<Record<string, TarHeader['type']>> = {
  '0': 'file',
  '\0': 'file',
  '2': 'symlink',
  '5': 'directory',
};
const checksumAt = 148;
const checksumEnd = 156;

/**
 * Reads a header as PostgreSQL writes it (ustar; `tarCreateHeader` in src/port/tar.c). Undefined for a block of zeros.
 * Throws `source.incomplete` for one that is no header.
 */
export function readTarHeader(block: Buffer): TarHeader | undefined {
  if (block[0] === 0 && block.every((byte) => byte === 0)) return undefined;
  let sum = 8 * 0x20;
  for (let at = 0; at < tarBlock; at += 1) if (at < checksumAt || at >= checksumEnd) sum += block[at]!;
  if (octal(block, checksumAt, checksumEnd) !== sum)
    throw new PgsiloError('source.incomplete', 'the server sent a tar with a header that cannot be read');
  const [name, prefix] = [text(block, 0, 100), text(block, 345, 500)];
  const type = types[String.fromCharCode(block[156]!)] ?? 'other';
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    type,
    // Of anything else than a file the field says nothing.
    size: type === 'file' ? sizeOf(block) : 0,
  };
}

/** Octal digits or, from 8 GiB on, a binary number whose first bit is set. */
function sizeOf(block: Buffer): number {
  return block[124]! & 0x80 ? Number(block.readBigUInt64BE(128)) : octal(block, 124, 136);
}

function octal(block: Buffer, from: number, to: number): number {
  return Number.parseInt(text(block, from, to).trim() || '0', 8);
}

function text(block: Buffer, from: number, to: number): string {
  const end = block.indexOf(0, from);
  return block.toString('latin1', from, end === -1 || end > to ? to : end);
}
