import { createDecipheriv } from 'node:crypto';
import { ByteReader } from './byte-reader.ts';
import { corrupt } from './corrupt.ts';
import { onlyGpg } from './protected-data.ts';
import type { SessionKey } from './protected-data.ts';

/**
 * The content of a packet of tag 20 (draft-koch-librepgp, 5.16), which gpg 2.3 and later write to keys that ask for it: chunks, each with a tag of its own,
 * and a last tag over the count of all bytes. It is read here and never written.
 */
const ocb = 2;
const nonceBytes = 15;
const tagBytes = 16;
/** 4 MiB: what gpg writes. */
const largestChunkByte = 16;
const aesNames: Readonly<Record<number, string>> = { 7: 'aes-128-ocb', 8: 'aes-192-ocb', 9: 'aes-256-ocb' };

export async function* openOcb(
  content: AsyncIterable<Uint8Array>,
  { data }: SessionKey,
): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(content);
  const head = await reader.take(4);
  const [, cipher, mode, chunkByte] = head as unknown as [number, number, number, number];
  const name = aesNames[cipher];
  if (chunkByte > largestChunkByte) throw corrupt('the data begins as gpg never writes it');
  if (mode !== ocb || name === undefined) throw onlyGpg('a cipher or mode');
  const nonce = await reader.take(nonceBytes);
  const associated = Buffer.concat([Buffer.of(0xd4), head]);

  const open = (index: number, sealed: Buffer, total?: number): Buffer => {
    const own = Buffer.from(nonce);
    for (const [at, byte] of counter(index).entries()) own[nonceBytes - 8 + at]! ^= byte;
    const parts = [associated, counter(index), ...(total === undefined ? [] : [counter(total)])];
    try {
      const decipher = createDecipheriv(name as 'aes-256-ocb', data, own, { authTagLength: tagBytes });
      decipher.setAAD(Buffer.concat(parts));
      decipher.setAuthTag(sealed.subarray(-tagBytes));
      return Buffer.concat([decipher.update(sealed.subarray(0, -tagBytes)), decipher.final()]);
    } catch (error) {
      throw corrupt('they were altered', error);
    }
  };

  const chunkBytes = 2 ** (chunkByte + 6) + tagBytes;
  let total = 0;
  let index = 0;
  let held: Buffer = Buffer.alloc(0);
  const parts: Buffer[] = [];
  // The last tag follows the last chunk without a mark between them.
  for (let left = chunkBytes + tagBytes; !(await reader.ended());) {
    const part = Buffer.from(await reader.some(left));
    parts.push(part);
    left -= part.length;
    if (left > 0) continue;
    const all = Buffer.concat(parts);
    parts.length = 0;
    const plain = open(index, all.subarray(0, chunkBytes));
    index += 1;
    total += plain.length;
    yield plain;
    parts.push(all.subarray(chunkBytes));
    left = chunkBytes;
  }
  held = Buffer.concat(parts);
  if (held.length < tagBytes) throw corrupt('they end too early');
  const rest = held.subarray(0, -tagBytes);
  if (rest.length > 0) {
    if (rest.length <= tagBytes) throw corrupt('they end too early');
    const plain = open(index, rest);
    index += 1;
    total += plain.length;
    yield plain;
  }
  open(index, held.subarray(-tagBytes), total);
}

function counter(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
