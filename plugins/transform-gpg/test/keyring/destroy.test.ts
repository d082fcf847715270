import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { testContext } from '@pgsilo/testkit';
import type { Transform, UnitKeys } from '@pgsilo/plugin';
import { makeGpgHome } from '../gpg-home.ts';
import type { GpgHome } from '../gpg-home.ts';
import { decode, encode, makeTransform, setupIn } from '../setup.ts';

const order = { by: 'jane@ops', at: new Date('2026-11-21T09:00:00Z') };
let home: GpgHome;
let folder: string;
let transform: Transform;
let unitKeys: UnitKeys;

beforeAll(async () => {
  home = await makeGpgHome();
  await home.makeKey('ops');
  const signing = { algorithm: 'ed25519', usage: 'sign' } as const;
  await home.makeKey('ops-sign', signing);
  await home.makeKey('ops-protected', { ...signing, passphrase: 'right' });
  await home.exportPublic('ops');
  for (const name of ['ops', 'ops-sign']) await home.exportPrivate(name);
  await home.exportPrivate('ops-protected', 'right');
});
afterAll(() => home.dispose());
beforeEach(async () => {
  folder = join(home.path, randomUUID());
  await mkdir(join(folder, 'copy'), { recursive: true });
  transform = await make();
  unitKeys = await transform.unitKeys!();
});

const make = (more: object = {}): Promise<Transform> =>
  makeTransform(
    {
      perUnit: true,
      keyring: { path: 'keys', copies: ['copy'] },
      wrapFor: [join(home.path, 'ops.asc')],
      decryptKeys: [join(home.path, 'ops-private.asc')],
      signWith: join(home.path, 'ops-sign-private.asc'),
      ...more,
    },
    setupIn(folder),
  );

/** Every file that may hold one: all but those that are known to hold none. */
async function privateHalves(): Promise<string[]> {
  const harmless = /\/(key\.json|public\.asc|destroyed\.json)$/;
  return (await readdir(folder, { recursive: true }))
    .filter((name) => /\/\d{6}\/|\.new-/.test(name) && !harmless.test(name))
    .toSorted();
}

test('a destruction that the disk breaks off says so, and that it can be finished', async () => {
  await encode(transform, 'rows', 'acme');
  const half = join(folder, 'copy/acme/000001/private.asc');
  await rm(half);
  await mkdir(half);
  await expect(unitKeys.destroy('acme', order)).rejects.toMatchObject({
    code: 'transform.key-missing',
    message: expect.stringMatching(
      /"acme" was interrupted: the keyring cannot be written: .*private\.asc: EISDIR/,
    ),
    hint: expect.stringContaining('run it again'),
  });
  await rm(half, { recursive: true });
  expect((await unitKeys.destroy('acme', order)).keys).toHaveLength(1);
});

describe('a unit whose keys are destroyed', () => {
  test('has no private half anywhere, and its backups say when and by whom, also where they were read before', async () => {
    const old = await encode(transform, 'old', 'acme');
    await unitKeys.rotate('acme', new Date());
    const fresh = await encode(transform, 'new', 'acme');
    const other = await encode(transform, 'other', 'globex');
    expect(String(await decode(transform, old))).toBe('old');
    const destruction = await unitKeys.destroy('acme', order);
    expect(destruction.keys.map(({ fingerprint }) => fingerprint)).toEqual(
      [old, fresh].map(({ parameters }) => (parameters['recipients'] as string[])[0]),
    );
    expect(await privateHalves()).toEqual([
      'copy/globex/000001/private.asc',
      'keys/globex/000001/private.asc',
    ]);
    for (const encoded of [old, fresh]) {
      for (const reader of [transform, await make()])
        await expect(decode(reader, encoded)).rejects.toMatchObject({
          code: 'transform.key-missing',
          message: expect.stringMatching(/"acme" was destroyed on 2026-11-21T09:00:00\.000Z by "jane@ops"/),
        });
    }
    expect(String(await decode(transform, other))).toBe('other');
    expect((await unitKeys.list(['acme'])).map(({ state }) => state)).toEqual(['destroyed', 'destroyed']);
  });

  test('is not backed up again before somebody gives it a new key', async () => {
    const old = await encode(transform, 'old', 'acme');
    await unitKeys.destroy('acme', order);
    await expect(encode(transform, 'new', 'acme')).rejects.toMatchObject({
      code: 'transform.key-missing',
      hint: expect.stringContaining('keys rotate'),
    });
    await unitKeys.rotate('acme', new Date());
    expect(String(await decode(transform, await encode(transform, 'new', 'acme')))).toBe('new');
    await expect(decode(transform, old)).rejects.toThrow('was destroyed');
  });

  test('is not brought back by an export from, or into, a keyring that still had it', async () => {
    const old = await encode(transform, 'old', 'acme');
    const early = join(folder, 'early');
    await unitKeys.export(early);
    await unitKeys.destroy('acme', order);
    expect(await unitKeys.export(early)).toEqual({ added: 0, destroyed: 1, present: 0 });
    expect(await privateHalves()).toEqual([]);
    await rm(join(folder, 'keys'), { recursive: true });
    await expect(encode(await make(), 'new', 'acme')).rejects.toThrow('was destroyed');
    await expect(decode(await make(), old)).rejects.toThrow('was destroyed');
  });

  test('stays destroyed when an old keyring comes back, and the next attempt destroys that, too', async () => {
    const old = await encode(transform, 'old', 'acme');
    await cp(join(folder, 'keys'), join(folder, 'early'), { recursive: true });
    await unitKeys.destroy('acme', order);
    await rm(join(folder, 'keys'), { recursive: true });
    await rename(join(folder, 'early'), join(folder, 'keys'));
    await expect(decode(await make(), old)).rejects.toThrow('was destroyed');
    const again = await unitKeys.destroy('acme', { by: 'joe@ops', at: new Date() });
    expect(again.keys).toMatchObject([{ destroyedBy: 'jane@ops', destroyedAt: '2026-11-21T09:00:00.000Z' }]);
    expect(await privateHalves()).toEqual([]);
  });

  test('stays destroyed when that was interrupted, and the next attempt finishes it', async () => {
    const old = await encode(transform, 'old', 'acme');
    const path = join(folder, 'keys/acme/000001');
    const half = await readFile(join(path, 'private.asc'));
    await unitKeys.destroy('acme', order);
    // As after a kill between the mark and the removal; and a key that never was.
    await writeFile(join(path, 'private.asc'), half);
    await mkdir(join(folder, 'keys/acme/.new-0011'));
    await writeFile(join(folder, 'keys/acme/.new-0011/private.asc'), half);
    await expect(decode(transform, old)).rejects.toThrow('was destroyed');
    expect(await unitKeys.list()).toMatchObject([{ state: 'destroyed', destroyed: { unfinished: true } }]);
    const found = await Array.fromAsync(transform.check!(testContext()));
    expect(found).toContainEqual(
      expect.objectContaining({ status: 'failed', message: expect.stringContaining('was interrupted') }),
    );
    const later = await unitKeys.destroy('acme', { by: 'joe@ops', at: new Date() });
    expect(later.keys).toMatchObject([{ destroyedBy: 'jane@ops', destroyedAt: '2026-11-21T09:00:00.000Z' }]);
    expect(await privateHalves()).toEqual([]);
  });
});

describe('nothing is destroyed, which the error says', () => {
  const nothing = expect.stringMatching(/Nothing was destroyed\.$/);

  test.each([
    [
      'a copy of the keyring is not there',
      'keyring.copies',
      { keyring: { path: 'keys', copies: ['copy', 'unmounted'] } },
    ],
    ['no key signs the receipt', 'signWith', { signWith: undefined }],
  ])('when %s', async (_, option, more) => {
    const encoded = await encode(transform, 'rows', 'acme');
    const keys = await (await make(more)).unitKeys!();
    await expect(keys.destroy('acme', order)).rejects.toMatchObject({
      code: 'config.invalid',
      option,
      hint: nothing,
    });
    expect(String(await decode(transform, encoded))).toBe('rows');
  });

  test.each([
    ['is not there', { signWith: '/absent.asc' }],
    ['is not opened by its passphrase', { signWith: 'ops-protected-private.asc', signPassphrase: 'wrong' }],
  ])('when the key that signs %s', async (_, more) => {
    const encoded = await encode(transform, 'rows', 'acme');
    const keys = await (await make({ ...more, signWith: join(home.path, more.signWith) })).unitKeys!();
    await expect(keys.destroy('acme', order)).rejects.toMatchObject({
      code: 'transform.key-missing',
      message: expect.stringContaining('the receipt cannot be signed'),
      hint: nothing,
    });
    expect(String(await decode(transform, encoded))).toBe('rows');
  });

  test('when a key in a copy cannot be read', async () => {
    const encoded = await encode(transform, 'rows', 'acme');
    const record = join(folder, 'copy/acme/000001/key.json');
    await rm(record);
    await mkdir(record);
    await expect(unitKeys.destroy('acme', order)).rejects.toMatchObject({
      code: 'transform.key-missing',
      message: expect.stringMatching(/^the keyring cannot be read: .*copy\/acme/),
      hint: nothing,
    });
    expect(String(await decode(await make({ keyring: { path: 'keys' } }), encoded))).toBe('rows');
  });

  test('of a unit that has no keys', async () => {
    await expect(unitKeys.destroy('acme', order)).rejects.toMatchObject({
      code: 'usage.invalid',
      hint: nothing,
    });
  });
});

test('the receipt lists keys, backups and what remains, and gpg verifies its signature', async () => {
  const hostile = 'acme"\nKeys: none';
  await encode(transform, 'rows', hostile);
  const destruction = await unitKeys.destroy(hostile, order);
  const { text, signature } = await unitKeys.receipt(destruction, {
    // Not before the key that signs was made.
    at: new Date(),
    pipelines: ['fleet', 'nightly'],
    backups: [{ pipeline: 'nightly', backup: '20261120T020000Z-7f3a9c', sinks: ['local', 's3'] }],
    remaining: [{ what: 'base backup 20261101T000000Z-aaaaaa', until: '2027-02-01' }, { what: 'tapes' }],
  });
  expect(text).toContain(destruction.keys[0]!.fingerprint);
  expect(text).toContain('looked at: "fleet", "nightly"; nothing is known here of others.');
  expect(text).toContain('  "20261120T020000Z-7f3a9c"  by "nightly"  in "local", "s3"');
  expect(text).toContain('  "base backup 20261101T000000Z-aaaaaa"  until 2027-02-01');
  expect(text).toContain('  "tapes"  without an end');
  expect(text).toContain('unit      "acme\\"\\nKeys: none"');
  expect(text).not.toMatch(/^Keys: none/m);
  const [file, detached] = [join(folder, 'receipt.txt'), join(folder, 'receipt.asc')];
  await writeFile(file, text);
  await writeFile(detached, signature);
  await home.must(['--verify', detached, file]);
  await writeFile(file, text.replace('jane', 'joan'));
  expect((await home.run(['--verify', detached, file])).status).toBe(1);
});

describe('doctor', () => {
  const about = async (more?: object): Promise<string[]> => {
    const found = await Array.fromAsync((await make(more)).check!(testContext()));
    return found
      .filter(({ name }) => name.startsWith('keyring'))
      .map(({ status, message }) => `${status}: ${message.replaceAll(folder, '')}`);
  };

  test('fails until a copy of the keyring outside of this machine is named and seen', async () => {
    await encode(transform, 'rows', 'acme');
    const ok = 'ok: /keys: 1 keys of 1 units';
    expect(await about({ keyring: { path: 'keys' } })).toEqual([
      ok,
      expect.stringMatching(/^failed: .* is the only keyring/),
    ]);
    expect(await about()).toEqual([ok, 'failed: /copy lies on the same disk as the keyring']);
    expect(await about({ keyring: { path: 'keys', copies: ['unmounted'] } })).toEqual([
      ok,
      'failed: /unmounted is not there',
    ]);
  });

  test('fails before the first backup, too, when the copy will not be elsewhere', async () => {
    expect(await about()).toEqual([
      'ok: /keys is not there yet: the first backup makes it',
      'failed: /copy lies on the same disk as the keyring',
    ]);
  });

  // Another file system is as near to another machine as a test can come.
  test.runIf(existsSync('/dev/shm'))(
    'is content with a copy on another file system that has all keys',
    async () => {
      const copy = await mkdtemp('/dev/shm/pgsilo-keyring-');
      try {
        const elsewhere = { keyring: { path: 'keys', copies: [copy] } };
        await encode(transform, 'rows', 'acme');
        expect((await about(elsewhere)).at(-1)).toBe(`failed: ${copy} lacks 1 of 1 keys`);
        await unitKeys.export(copy);
        expect((await about(elsewhere)).at(-1)).toBe(`ok: ${copy} has all 1 keys`);
        await rename(join(folder, 'keys'), join(folder, 'early'));
        expect((await about(elsewhere)).at(-1)).toBe(`warning: ${copy} has 1 keys that /keys lacks`);
        await rename(join(folder, 'early'), join(folder, 'keys'));
        await cp(join(folder, 'keys'), join(folder, 'early'), { recursive: true });
        await unitKeys.destroy('acme', order);
        expect((await about(elsewhere)).at(-1)).toBe(
          `failed: ${copy} still has keys that were destroyed, of "acme"`,
        );
        await unitKeys.export(copy);
        expect((await about(elsewhere)).at(-1)).toBe(`ok: ${copy} has all 1 keys`);
        await rm(join(folder, 'keys'), { recursive: true });
        await rename(join(folder, 'early'), join(folder, 'keys'));
        expect((await about(elsewhere)).at(-1)).toBe(
          'failed: /keys still has keys that were destroyed, of "acme"',
        );
      } finally {
        await rm(copy, { recursive: true });
      }
    },
  );
});
