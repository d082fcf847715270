import { createHash } from 'node:crypto';

const table: Uint32Array = new Uint32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** Castagnoli's CRC as the service writes it: big-endian, in base64. Bit by bit, so that it owes nothing to the code under test. */
export function crc32cOf(content: Uint8Array): string {
  let crc = 0xffffffff;
  for (const byte of content) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
  return bytes.toString('base64');
}

export function md5Of(content: Uint8Array): string {
  return createHash('md5').update(content).digest('base64');
}

/** What a client says that its content has, in metadata or in headers. */
export interface Claims {
  readonly crc32c?: string;
  readonly md5Hash?: string;
}

/** Reads `X-Goog-Hash: crc32c=…,md5=…`, which may also come as several headers. */
export function claimsOf(header: string | string[] | undefined): Claims {
  const claims: { crc32c?: string; md5Hash?: string } = {};
  for (const part of [header ?? []].flat().join(',').split(',')) {
    const [, name, value] = /^\s*(crc32c|md5)=(\S+)\s*$/.exec(part) ?? [];
    if (name === 'crc32c' && value !== undefined) claims.crc32c = value;
    if (name === 'md5' && value !== undefined) claims.md5Hash = value;
  }
  return claims;
}
