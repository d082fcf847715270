import { encryptSessionKey, generateKey, revokeKey } from 'openpgp';
import type { SecretKeyPacket } from 'openpgp';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '@pgsilo/plugin';
import type { CheckResult, Transform } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { digestOf } from '../src/parameters.ts';
import { findSessionKey } from '../src/session-key.ts';
import { makeGpgHome } from './gpg-home.ts';
import type { GpgHome } from './gpg-home.ts';
import { decode, encode, makeTransform } from './setup.ts';

const longAgo = '20200101T120000';
let home: GpgHome;
const file = (name: string): string => join(home.path, name);

beforeAll(async () => {
  home = await makeGpgHome();
  await home.makeKey('ops');
  await home.makeKey('other');
  await home.makeKey('expired', { at: longAgo, expire: '1y' });
  await home.makeKey('sign-only', { algorithm: 'ed25519', usage: 'sign' });
  await home.makeKey('soon', { expire: '10d' });
  const lapsed = await home.makeKey('lapsed', { at: longAgo, algorithm: 'ed25519', usage: 'sign' });
  const unprotected = ['--pinentry-mode', 'loopback', '--passphrase', ''];
  await home.must([
    '--faked-system-time',
    longAgo,
    ...unprotected,
    '--quick-add-key',
    lapsed,
    'cv25519',
    'encr',
    '1y',
  ]);
  const revoked = await home.makeKey('revoked');
  await home.exportPublic('revoked');
  await home.exportPrivate('revoked');
  await writeFile(file('before-revocation.asc'), await home.must(['--armor', '--export', 'revoked']));
  for (const name of ['ops', 'other', 'expired', 'sign-only', 'soon', 'lapsed'])
    await home.exportPublic(name);
  for (const name of ['ops', 'other', 'expired']) await home.exportPrivate(name);
  await home.must([...unprotected, '--import'], await revocationOf(home, revoked));
  await home.exportPublic('revoked');
  await home.makeKey('protected', { passphrase: 'open sesame' });
  const protectedKey = await home.must([
    '--pinentry-mode',
    'loopback',
    '--passphrase',
    'open sesame',
    '--armor',
    '--export-secret-keys',
    'protected',
  ]);
  await writeFile(file('protected-private.asc'), protectedKey);
  await home.exportPublic('protected');
  const pair = await generateKey({
    userIDs: { name: 'no longer' },
    format: 'object',
    type: 'ecc',
    curve: 'curve25519Legacy',
  });
  pair.privateKey.subkeys[0] = await pair.privateKey.subkeys[0]!.revoke(
    pair.privateKey.keyPacket as SecretKeyPacket,
  );
  await writeFile(file('subkey-revoked.asc'), pair.privateKey.toPublic().armor());
  await writeFile(file('garbage.asc'), 'no key at all');
  await writeFile(
    file('broken.asc'),
    '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n',
  );
});
afterAll(() => home.dispose());

/** gpg keeps a revocation certificate of each key that it makes, disarmed by a colon. */
async function revocationOf({ path }: GpgHome, fingerprint: string): Promise<string> {
  const text = await readFile(join(path, 'openpgp-revocs.d', `${fingerprint}.rev`), 'utf8');
  return text.slice(text.indexOf(':-----BEGIN') + 1);
}

async function diagnose(transform: Transform): Promise<readonly CheckResult[]> {
  return Array.fromAsync(transform.check!(testContext()));
}

describe('a key that cannot be encrypted to', () => {
  test.each([
    ['expired.asc', 'expired on 2020-12-31'],
    ['revoked.asc', 'was revoked'],
    ['sign-only.asc', 'has no subkey for encryption'],
    ['subkey-revoked.asc', 'has no subkey for encryption that is not revoked'],
    ['lapsed.asc', 'has a subkey for encryption that expired on 2020-12-31'],
  ])('%s makes a backup fail, and doctor says before that it %s', async (name, why) => {
    const transform = await makeTransform({ recipients: [file('ops.asc'), file(name)] });
    await expect(encode(transform, 'x')).rejects.toMatchObject({
      code: 'transform.key-missing',
      message: expect.stringContaining(`${file(name)} ${why}`),
    });
    const found = await diagnose(transform);
    expect(found).toContainEqual(
      expect.objectContaining({
        name: 'recipients',
        status: 'failed',
        message: expect.stringContaining(why),
      }),
    );
    expect(found[0]).toMatchObject({ status: 'ok', message: expect.stringContaining('ops.asc') });
  });

  test.each([
    ['absent.asc', 'is not there'],
    ['garbage.asc', 'holds no OpenPGP key'],
    ['broken.asc', 'holds no OpenPGP key'],
  ])('because %s %s', async (name, why) => {
    const transform = await makeTransform({ recipients: [file(name)] });
    const error = { code: 'transform.key-missing', message: expect.stringContaining(why) };
    await expect(encode(transform, 'x')).rejects.toMatchObject(error);
    await expect(diagnose(transform)).rejects.toMatchObject(error);
  });

  test('is told a month before it expires', async () => {
    const found = await diagnose(await makeTransform({ recipients: [file('soon.asc')] }));
    expect(found[0]).toMatchObject({
      status: 'warning',
      message: expect.stringMatching(/expires on \d{4}-\d\d-\d\d/),
    });
  });
});

describe('a private key', () => {
  const recipients = (): readonly string[] => [file('ops.asc')];

  test.each([
    [
      'is not the right one',
      { decryptKeys: ['other-private.asc'] },
      /the private key [0-9A-F]{40} decrypts this.*is not here/,
    ],
    ['is not named', { decryptKeys: [] }, /the private key [0-9A-F]{40} decrypts this/],
    ['is not there', { decryptKeys: ['absent.asc'] }, /is not there/],
    ['is a public one', { decryptKeys: ['ops.asc'] }, /holds a public key/],
    ['is protected', { decryptKeys: ['protected-private.asc'] }, /protected by a passphrase/],
    [
      'has another passphrase',
      { decryptKeys: ['protected-private.asc'], decryptPassphrase: 'open barley' },
      /is not opened by decryptPassphrase/,
    ],
  ])('that %s is told from damage', async (_, options, message) => {
    const wrong = { ...options, decryptKeys: options.decryptKeys.map(file) };
    const transform = await makeTransform({ recipients: recipients(), ...wrong });
    await expect(decode(transform, await encode(transform, 'x'))).rejects.toMatchObject({
      code: 'transform.key-missing',
      message: expect.stringMatching(message),
    });
    if (wrong.decryptKeys.length === 0) return;
    expect(await diagnose(transform)).toContainEqual(
      expect.objectContaining({
        name: 'decryption',
        status: 'failed',
        message: expect.stringMatching(message),
      }),
    );
  });

  test('opened by its passphrase decrypts, and doctor has tried it', async () => {
    const transform = await makeTransform({
      recipients: [file('protected.asc')],
      decryptKeys: [file('protected-private.asc')],
      decryptPassphrase: 'open sesame',
    });
    expect(String(await decode(transform, await encode(transform, 'x')))).toBe('x');
    expect((await diagnose(transform)).map(({ status }) => status)).toEqual(['ok', 'ok']);
  });

  test('reads what was encrypted before its public half was revoked or expired', async () => {
    const before = await makeTransform({ recipients: [file('before-revocation.asc')] });
    const after = await makeTransform({
      recipients: recipients(),
      decryptKeys: [file('revoked-private.asc')],
    });
    expect(String(await decode(after, await encode(before, 'x')))).toBe('x');

    const then = new Date('2020-06-01T00:00:00Z');
    const clock = { now: () => then, sleep: () => Promise.resolve() };
    const old = await makeTransform({ recipients: [file('expired.asc')] });
    const encoded = await encode(old, 'y', 'acme', testContext({ clock }));
    const now = await makeTransform({ recipients: recipients(), decryptKeys: [file('expired-private.asc')] });
    expect(String(await decode(now, encoded))).toBe('y');
  });

  test('revoked itself still reads old backups', async () => {
    const pair = await generateKey({
      userIDs: { name: 'left' },
      format: 'object',
      type: 'ecc',
      curve: 'curve25519Legacy',
    });
    await writeFile(file('left.asc'), pair.publicKey.armor());
    const encoded = await encode(await makeTransform({ recipients: [file('left.asc')] }), 'x');
    const { privateKey } = await revokeKey({ key: pair.privateKey, format: 'armored' });
    await writeFile(file('left-private.asc'), privateKey);
    const transform = await makeTransform({
      recipients: recipients(),
      decryptKeys: [file('left-private.asc')],
    });
    expect(String(await decode(transform, encoded))).toBe('x');
  });
});

test('keys of one file, as gpg exports them and as cat joins them, are all used', async () => {
  await writeFile(file('exported.asc'), await home.must(['--armor', '--export', 'ops', 'other']));
  const joined = [
    await home.must(['--armor', '--export', 'ops']),
    await home.must(['--armor', '--export', 'other']),
  ];
  await writeFile(file('joined.asc'), Buffer.concat(joined));
  await writeFile(file('binary.gpg'), await home.must(['--export', 'ops', 'other']));
  for (const name of ['exported.asc', 'joined.asc', 'binary.gpg']) {
    const { parameters } = await encode(await makeTransform({ recipients: [file(name)] }), 'x');
    expect(parameters['recipients']).toHaveLength(2);
  }
});

test('a wrong passphrase is never taken for damage', async () => {
  const key = new Uint8Array(32).fill(7);
  // With a quick way from passphrase to key, for the many that are tried.
  const config = { s2kIterationCountByte: 0 };
  const passwords = 'correct horse';
  const head = await encryptSessionKey({
    data: key,
    algorithm: 'aes256',
    passwords,
    format: 'binary',
    config,
  });
  let deceived = 0;
  let found = 0;
  for (let turn = 0; turn < 3000; turn += 1) {
    const opener = { keys: [], passphrase: new Secret(`wrong ${turn}`) };
    if (await findSessionKey(head, opener, undefined)) deceived += 1;
    if (await findSessionKey(head, opener, digestOf(key))) found += 1;
  }
  // About one in a hundred gives what looks like a session key.
  expect(deceived).toBeGreaterThan(0);
  expect(found).toBe(0);
  const right = { keys: [], passphrase: new Secret(passwords) };
  expect(await findSessionKey(head, right, digestOf(key))).toMatchObject({ algorithm: 'aes256' });
});
