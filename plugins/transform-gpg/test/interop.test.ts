import { generateKey } from 'openpgp';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transform } from '@pgsilo/plugin';
import { collect, dumpLikeBody } from '@pgsilo/testkit';
import { makeGpgHome } from './gpg-home.ts';
import type { GpgHome } from './gpg-home.ts';
import { decode, encode, makeTransform } from './setup.ts';
import { writeOcbMessage } from './ocb-message.ts';

const passphrase = 'correct horse battery staple';
const symmetric = ['--pinentry-mode', 'loopback', '--passphrase', passphrase];
const names = ['modern', 'rsa', 'rsa-large'] as const;
const algorithms = { modern: 'future-default', rsa: 'rsa2048', 'rsa-large': 'rsa3072' };

/** All three keys; and each alone. */
let home: GpgHome;
const alone = new Map<string, GpgHome>();
let transform: Transform;
let fingerprints: string[];
let body: Buffer;

beforeAll(async () => {
  home = await makeGpgHome();
  body = await collect(dumpLikeBody(3_000_000));
  fingerprints = [];
  for (const name of names) {
    fingerprints.push(await home.makeKey(name, { algorithm: algorithms[name] }));
    const own = await makeGpgHome();
    alone.set(name, own);
    await own.must(['--import', await home.exportPrivate(name)]);
    await home.exportPublic(name);
  }
  transform = await makeTransform({
    recipients: names.map((name) => join(home.path, `${name}.asc`)),
    decryptKeys: [join(home.path, 'rsa-private.asc')],
  });
});
afterAll(async () => {
  for (const each of [home, ...alone.values()]) await each.dispose();
});

describe('gpg decrypts what was written here', () => {
  test.each(names)('with the key %s, one of three recipients', async (name) => {
    const { bytes, parameters } = await encode(transform, body);
    expect(parameters['recipients']).toEqual(fingerprints);
    expect((await alone.get(name)!.must(['--decrypt'], bytes)).equals(body)).toBe(true);
  });

  test('with a passphrase', async () => {
    const { bytes } = await encode(await makeTransform({ passphrase }), body);
    expect((await home.must([...symmetric, '--decrypt'], bytes)).equals(body)).toBe(true);
  });

  test('with either, when there are recipients and a passphrase', async () => {
    const both = await makeTransform({ recipients: [join(home.path, 'modern.asc')], passphrase });
    const { bytes, parameters } = await encode(both, 'either');
    expect(String(await home.must(['--decrypt'], bytes))).toBe('either');
    expect(String(await alone.get('rsa')!.must([...symmetric, '--decrypt'], bytes))).toBe('either');
    expect(parameters).toMatchObject({ recipients: [fingerprints[0]], passphrase: true });
  });

  test('as the classic packets, also to a key that asks for newer ones', async () => {
    const { publicKey, privateKey } = await generateKey({
      type: 'ecc',
      curve: 'curve25519Legacy',
      userIDs: { name: 'modernist' },
      format: 'armored',
      config: { aeadProtect: true },
    });
    await writeFile(join(home.path, 'modernist.asc'), publicKey);
    const { bytes } = await encode(
      await makeTransform({ recipients: [join(home.path, 'modernist.asc')] }),
      body,
    );
    const other = await makeGpgHome();
    try {
      await other.must(['--import'], privateKey);
      const packets = String(await other.must(['--list-packets'], bytes));
      expect(packets).toMatch(/encrypted data packet:\s+length: unknown\s+mdc_method: 2/);
      expect(packets).not.toMatch(/aead|compressed packet/);
      expect((await other.must(['--decrypt'], bytes)).equals(body)).toBe(true);
    } finally {
      await other.dispose();
    }
  });
});

describe('what gpg wrote is decrypted here', () => {
  const encrypt = ['--trust-model', 'always', '--recipient', '=rsa'];
  test.each([
    ['compressed as it likes', [...encrypt, '--encrypt']],
    ['with zip', [...encrypt, '--compress-algo', 'zip', '--encrypt']],
    ['with zlib', [...encrypt, '--compress-algo', 'zlib', '--encrypt']],
    ['without compression', [...encrypt, '--compress-algo', 'none', '--encrypt']],
    [
      'to several recipients',
      [...encrypt, '--recipient', '=modern', '--recipient', '=rsa-large', '--encrypt'],
    ],
    ['to a recipient that it hides', ['--trust-model', 'always', '--hidden-recipient', '=rsa', '--encrypt']],
    ['signed', [...encrypt, '--local-user', '=modern', '--sign', '--encrypt']],
    ['with AES-128', [...encrypt, '--cipher-algo', 'AES', '--encrypt']],
  ])('%s', async (_, parameters) => {
    const bytes = await home.must(parameters, body);
    expect((await decode(transform, { bytes })).equals(body)).toBe(true);
  });

  test('from a file, whose length it knows', async () => {
    const file = join(home.path, 'small');
    await writeFile(file, 'small');
    await home.must([...encrypt, '--output', `${file}.gpg`, '--encrypt', file]);
    const bytes = await readFile(`${file}.gpg`);
    expect(String(await decode(transform, { bytes }))).toBe('small');
  });

  test('with a passphrase, and a wrong one is told from damage', async () => {
    const bytes = await home.must([...symmetric, '--symmetric'], body);
    expect((await decode(await makeTransform({ passphrase }), { bytes })).equals(body)).toBe(true);
    const wrong = decode(await makeTransform({ passphrase: 'another one' }), { bytes });
    await expect(wrong).rejects.toMatchObject({ code: 'transform.key-missing' });
  });

  test.each([
    ['bzip2', [...encrypt, '--compress-algo', 'bzip2', '--encrypt']],
    ['3DES', [...encrypt, '--cipher-algo', '3DES', '--encrypt']],
  ])('with %s only by gpg itself, and the error says so', async (_, parameters) => {
    const bytes = await home.must(parameters, body);
    await expect(decode(transform, { bytes })).rejects.toMatchObject({
      code: 'transform.corrupt',
      hint: 'Set decryptWith: gpg.',
    });
  });

  test.each([0, 1, 4_096, 3_000_000])(
    'as gpg 2.4 does it for keys that ask for OCB, %i bytes',
    async (length) => {
      const bytes = await writeOcbMessage(join(home.path, 'rsa.asc'), body.subarray(0, length));
      // The message was made by the test: gpg itself says that it is a good one.
      expect((await home.must(['--decrypt'], bytes)).equals(body.subarray(0, length))).toBe(true);
      expect((await decode(transform, { bytes })).equals(body.subarray(0, length))).toBe(true);
      for (const cut of [1, 16, 17, Math.floor(bytes.length / 2)]) {
        const read = decode(transform, { bytes: bytes.subarray(0, bytes.length - cut) });
        await expect(read).rejects.toMatchObject({ code: 'transform.corrupt' });
      }
      // In what seals the last chunk, and in what seals their number.
      for (const place of [20, 1]) {
        const altered = Buffer.from(bytes);
        altered[bytes.length - place]! ^= 1;
        await expect(decode(transform, { bytes: altered })).rejects.toMatchObject({
          code: 'transform.corrupt',
        });
      }
    },
  );
});
