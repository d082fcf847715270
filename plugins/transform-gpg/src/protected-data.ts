import { createCipheriv, createDecipheriv, createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { ByteReader } from './byte-reader.ts';
import { corrupt } from './corrupt.ts';

/**
 * RFC 9580, 5.13.1: the content of a packet of tag 18, version 1. Plaintext, a hash of it, and random bytes before both, under a cipher in CFB mode.
 * Not left to openpgp: its streams stand still for ever on some messages that were altered.
 */
const version = 1;
const blockBytes = 16;
/** A random block, and its last two bytes again. */
const prefixBytes = blockBytes + 2;
const mdcHead = Buffer.of(0xd3, 0x14);
const hashBytes = 20;
const tailBytes = mdcHead.length + hashBytes;

/** Node's names by those of openpgp. */
const ciphers: Readonly<Record<string, string>> = {
  aes128: 'aes-128-cfb',
  aes192: 'aes-192-cfb',
  aes256: 'aes-256-cfb',
};

export interface SessionKey {
  readonly data: Uint8Array;
  /** As openpgp calls it. */
  readonly algorithm: string;
}

export async function* protect(
  plain: AsyncIterable<Uint8Array>,
  { data, algorithm }: SessionKey,
): AsyncGenerator<Uint8Array> {
  const cipher = createCipheriv(ciphers[algorithm]!, data, Buffer.alloc(blockBytes));
  const hash = createHash('sha1');
  const random = randomBytes(blockBytes);
  const prefix = Buffer.concat([random, random.subarray(-2)]);
  hash.update(prefix);
  yield Buffer.concat([Buffer.of(version), cipher.update(prefix)]);
  for await (const chunk of plain) {
    hash.update(chunk);
    yield cipher.update(chunk);
  }
  const tail = Buffer.concat([mdcHead, hash.update(mdcHead).digest()]);
  yield Buffer.concat([cipher.update(tail), cipher.final()]);
}

/**
 * The plaintext, which comes before it was checked; `transform.corrupt` in place of its end when it was altered.
 * @param wrongKey the error for a beginning that shows that the key is wrong, where that is not known better.
 */
export async function* unprotect(
  content: AsyncIterable<Uint8Array>,
  { data, algorithm }: SessionKey,
  wrongKey: () => Error,
): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(content);
  // The version, which the reader of the frame has looked at.
  await reader.take(1);
  const name = ciphers[algorithm];
  if (name === undefined) throw onlyGpg(`the cipher ${algorithm}`);
  const decipher = createDecipheriv(name, data, Buffer.alloc(blockBytes));
  const hash = createHash('sha1');
  const prefix = decipher.update(await reader.take(prefixBytes));
  if (!prefix.subarray(-2).equals(prefix.subarray(-4, -2))) throw wrongKey();
  hash.update(prefix);
  // The last bytes are known as such only at the end. A chunk is held back whole rather than copied.
  let held: Buffer = Buffer.alloc(0);
  while (!(await reader.ended())) {
    const next = decipher.update(await reader.some(Infinity));
    const all = next.length < tailBytes ? Buffer.concat([held, next]) : held;
    const certain = next.length < tailBytes ? all.subarray(0, Math.max(0, all.length - tailBytes)) : all;
    held = next.length < tailBytes ? all.subarray(certain.length) : next;
    if (certain.length === 0) continue;
    hash.update(certain);
    yield certain;
  }
  const last = held.subarray(0, Math.max(0, held.length - tailBytes));
  hash.update(last);
  if (last.length > 0) yield last;
  held = held.subarray(last.length);
  const digest = hash.update(held.subarray(0, mdcHead.length)).digest();
  const whole =
    held.length === tailBytes &&
    held.subarray(0, mdcHead.length).equals(mdcHead) &&
    timingSafeEqual(digest, held.subarray(mdcHead.length));
  if (!whole) throw corrupt('they were altered');
}

/** For what is sound and cannot be read here. */
export function onlyGpg(what: string): Error {
  return corrupt(`they use ${what}, which only gpg itself reads`, undefined, 'Set decryptWith: gpg.');
}
