import { encryptSessionKey } from 'openpgp';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transform } from '@pgsilo/plugin';
import { bodyOf, collect } from '@pgsilo/testkit';
import { readPublicKeys } from '../src/key-files.ts';
import { tags } from '../src/packet.ts';
import { protect } from '../src/protected-data.ts';
import { makeGpgHome } from './gpg-home.ts';
import type { GpgHome } from './gpg-home.ts';
import { decode, encode, makeTransform } from './setup.ts';

let home: GpgHome;
let transform: Transform;

beforeAll(async () => {
  home = await makeGpgHome();
  await home.makeKey('ops');
  transform = await makeTransform({
    recipients: [await home.exportPublic('ops')],
    decryptKeys: [await home.exportPrivate('ops')],
  });
});
afterAll(() => home.dispose());

/** How a packet says its length (RFC 9580, 4.2). */
type Form = (tag: number, content: Buffer) => Buffer;

const old =
  (kind: number, bytes: number): Form =>
  (tag, content) => {
    const length = Buffer.alloc(bytes);
    if (bytes > 0) length.writeUIntBE(content.length, 0, bytes);
    return Buffer.concat([Buffer.of(0x80 | (tag << 2) | kind), length, content]);
  };
const oneByte: Form = (tag, content) => Buffer.concat([Buffer.of(0xc0 | tag, content.length), content]);
const twoBytes: Form = (tag, content) => {
  const length = content.length - 192;
  return Buffer.concat([Buffer.of(0xc0 | tag, 192 + (length >> 8), length & 0xff), content]);
};
const fiveBytes: Form = (tag, content) => {
  const length = Buffer.alloc(5, 0xff);
  length.writeUInt32BE(content.length, 1);
  return Buffer.concat([Buffer.of(0xc0 | tag), length, content]);
};
/** Parts of these powers of two in turn; what is left, which may be nothing, stands in the last. */
const inParts =
  (...powers: readonly number[]): Form =>
  (tag, content) => {
    const parts: Buffer[] = [Buffer.of(0xc0 | tag)];
    let at = 0;
    for (let turn = 0; content.length - at >= 2 ** powers[turn % powers.length]!; turn += 1) {
      const power = powers[turn % powers.length]!;
      parts.push(Buffer.of(0xe0 | power), content.subarray(at, at + 2 ** power));
      at += 2 ** power;
    }
    return Buffer.concat([...parts, fiveBytes(0, content.subarray(at)).subarray(1)]);
  };

const literal: readonly (readonly [string, number, Form])[] = [
  ['old, length of one byte', 100, old(0, 1)],
  ['old, length of two bytes', 5000, old(1, 2)],
  ['old, length of four bytes', 70_000, old(2, 4)],
  ['old, to the end', 70_000, old(3, 0)],
  ['new, length of one byte', 100, oneByte],
  ['new, length of two bytes', 5000, twoBytes],
  ['new, length of five bytes', 70_000, fiveBytes],
  ['new, in parts of 512 bytes', 70_000, inParts(9)],
  // The literal's own head has six bytes: nothing is left for the last part.
  ['new, in parts that leave nothing', 2 ** 15 - 6, inParts(12)],
  ['new, in parts of many sizes', 70_000, inParts(13, 9, 11, 10)],
];

describe.each([
  ['of a stated length', fiveBytes],
  ['in parts', inParts(9, 12)],
] as const)('in an encrypted packet %s, a literal packet', (_, outer) => {
  test.each(literal)('%s, is read here as by gpg', async (__, length, inner) => {
    const body = randomBytes(length);
    const [operator] = await readPublicKeys([join(home.path, 'ops.asc')]);
    const key = { data: new Uint8Array(randomBytes(32)), algorithm: 'aes256' as const };
    const head = await encryptSessionKey({ ...key, encryptionKeys: operator!.key, format: 'binary' });
    const plain = inner(tags.literal, Buffer.concat([Buffer.from('b\0\0\0\0\0'), body]));
    const content = await collect(protect(bodyOf(plain), key));
    const bytes = Buffer.concat([head, outer(tags.protectedData, content)]);
    // The message was made by the test: gpg says that it is a good one.
    expect((await home.must(['--decrypt'], bytes)).equals(body)).toBe(true);
    expect((await decode(transform, { bytes })).equals(body)).toBe(true);
  });
});

test('the old packet without a check, to which an attacker can turn a protected one, is refused unread', async () => {
  const unprotected = 9;
  const [operator] = await readPublicKeys([join(home.path, 'ops.asc')]);
  const key = { data: new Uint8Array(randomBytes(32)), algorithm: 'aes256' as const };
  const head = await encryptSessionKey({ ...key, encryptionKeys: operator!.key, format: 'binary' });
  const content = await collect(protect(bodyOf(oneByte(tags.literal, Buffer.from('b\0\0\0\0\0rows'))), key));
  for (const form of [oneByte, fiveBytes, old(3, 0)]) {
    const read = decode(transform, { bytes: Buffer.concat([head, form(unprotected, content.subarray(1))]) });
    await expect(read).rejects.toMatchObject({
      code: 'transform.corrupt',
      message: expect.stringContaining('protected from being altered'),
    });
  }
});

describe('gpg reads what was written here', () => {
  const literalHead = 6;
  // Version, prefix and check of the encrypted packet, tag and length of the literal one.
  const around = (length: number): number => 1 + 18 + 22 + (length < 192 ? 2 : 3) + literalHead;
  const boundaries = [191, 192, 193, 8383, 8384, 8385, 65_535, 65_536, 65_537, 131_072];

  test.each([
    0,
    ...boundaries.map((boundary) => boundary - literalHead),
    ...boundaries.map((boundary) => boundary - around(boundary)),
  ])('of %i bytes, where lengths are written in another way', async (length) => {
    const body = randomBytes(length);
    const { bytes } = await encode(transform, body);
    expect((await home.must(['--decrypt'], bytes)).equals(body)).toBe(true);
  });
});
