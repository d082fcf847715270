import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Transform } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { makeGpgHome } from '../gpg-home.ts';
import type { GpgHome } from '../gpg-home.ts';
import { decode, encode, makeTransform, setupIn } from '../setup.ts';

let home: GpgHome;
let folder: string;
let keys: string;
let options: Record<string, unknown>;

beforeAll(async () => {
  home = await makeGpgHome();
  await home.makeKey('ops');
  await home.exportPublic('ops');
  await home.exportPrivate('ops');
});
afterAll(() => home.dispose());
beforeEach(async () => {
  folder = join(home.path, randomUUID());
  keys = join(folder, 'keys');
  await mkdir(folder);
  options = {
    perUnit: true,
    keyring: { path: 'keys' },
    wrapFor: [join(home.path, 'ops.asc')],
    decryptKeys: [join(home.path, 'ops-private.asc')],
  };
});

const make = (more: object = {}): Promise<Transform> =>
  makeTransform({ ...options, ...more }, setupIn(folder));

describe('a copy of the keyring', () => {
  const copied = { keyring: { path: 'keys', copies: ['copy'] } };

  test('gets each new key, and reads when the keyring is lost', async () => {
    await mkdir(join(folder, 'copy'));
    const encoded = await encode(await make(copied), 'rows', 'acme');
    await rm(keys, { recursive: true });
    expect(String(await decode(await make(copied), encoded))).toBe('rows');
    const again = await encode(await make(copied), 'rows', 'acme');
    expect(again.parameters['recipients']).toEqual(encoded.parameters['recipients']);
    expect(await readdir(join(keys, 'acme'))).toEqual(['000001']);
  });

  test('gives back all keys at once to a keyring that was lost, so that no unit gets a second one when it is away again', async () => {
    await mkdir(join(folder, 'copy'));
    for (const unit of ['acme', 'globex', 'initech']) await encode(await make(copied), 'rows', unit);
    await rm(keys, { recursive: true });
    await encode(await make(copied), 'rows', 'acme');
    expect((await readdir(keys)).toSorted()).toEqual(['acme', 'globex', 'initech']);
  });

  test('that is not mounted is not made, and the log says that it lacks the key', async () => {
    const setup = setupIn(folder);
    await encode(await make(), 'rows', 'globex');
    await encode(await makeTransform({ ...options, ...copied }, setup), 'rows', 'acme');
    expect(await readdir(folder)).toEqual(['keys']);
    expect(setup.log.entries).toMatchObject([
      { level: 'warn', fields: { unit: 'acme', copy: join(folder, 'copy') } },
    ]);
  });

  test('that is not mounted keeps a keyring that was lost from being begun anew', async () => {
    await mkdir(join(folder, 'copy'));
    const encoded = await encode(await make(copied), 'rows', 'acme');
    await rename(join(folder, 'copy'), join(folder, 'unmounted'));
    for (const lose of [
      (): Promise<void> => rm(keys, { recursive: true }),
      () => mkdir(join(keys, 'acme'), { recursive: true }),
    ]) {
      await lose();
      const refused = {
        code: 'transform.key-missing',
        message: `the keyring ${keys} has no keys and its copy ${join(folder, 'copy')} is not there: a new key might be a second one`,
      };
      await expect(encode(await make(copied), 'rows', 'acme')).rejects.toMatchObject(refused);
      const unitKeys = await (await make(copied)).unitKeys!();
      await expect(unitKeys.rotate('acme', new Date())).rejects.toMatchObject(refused);
      const found = await Array.fromAsync((await make(copied)).check!(testContext()));
      expect(found).toContainEqual(
        expect.objectContaining({
          name: 'keyring',
          status: 'failed',
          message: expect.stringContaining('no key is made'),
        }),
      );
    }
    await rename(join(folder, 'unmounted'), join(folder, 'copy'));
    const again = await encode(await make(copied), 'rows', 'acme');
    expect(again.parameters['recipients']).toEqual(encoded.parameters['recipients']);
  });

  test('is not the keyring itself, however that is written', async () => {
    await expect(make({ keyring: { path: 'keys', copies: ['copy', './keys/'] } })).rejects.toMatchObject({
      code: 'config.invalid',
      option: 'keyring.copies',
    });
    await encode(await make(), 'rows', 'acme');
    await symlink(keys, join(folder, 'link'));
    const unitKeys = await (await make()).unitKeys!();
    for (const path of [keys, join(folder, 'link')])
      await expect(unitKeys.export(path)).rejects.toMatchObject({
        code: 'usage.invalid',
        message: expect.stringContaining('is the keyring itself'),
      });
  });

  test('is not made where the folder above it is not there: that is not mounted', async () => {
    await encode(await make(), 'rows', 'acme');
    const unitKeys = await (await make()).unitKeys!();
    await expect(unitKeys.export(join(folder, 'vault/keys'))).rejects.toMatchObject({
      code: 'usage.invalid',
      message: expect.stringContaining(`${join(folder, 'vault')} is not there`),
    });
    expect(existsSync(join(folder, 'vault'))).toBe(false);
  });

  test('is made by an export, which adds only what is not there', async () => {
    const transform = await make();
    for (const unit of ['acme', 'globex']) await encode(transform, 'rows', unit);
    const unitKeys = await transform.unitKeys!();
    const target = join(folder, 'export');
    expect(await unitKeys.export(target, ['acme'])).toEqual({ added: 1, destroyed: 0, present: 0 });
    expect(await unitKeys.export(target)).toEqual({ added: 1, destroyed: 0, present: 1 });
    const names = (await readdir(keys, { recursive: true })).filter((name) => /\.(asc|json)$/.test(name));
    expect(names).toHaveLength(6);
    for (const name of names)
      expect(await readFile(join(target, name))).toEqual(await readFile(join(keys, name)));
  });

  test('that holds a key without its private half is not taken for one that has it', async () => {
    await encode(await make(), 'rows', 'acme');
    await cp(keys, join(folder, 'copy'), { recursive: true });
    await rm(join(folder, 'copy/acme/000001/private.asc'));
    const unitKeys = await (await make()).unitKeys!();
    await expect(unitKeys.export(join(folder, 'copy'))).rejects.toThrow('without its private half');
  });

  test('of a unit that has no keys is refused, for its name is mistyped', async () => {
    const unitKeys = await (await make()).unitKeys!();
    await expect(unitKeys.export(join(folder, 'copy'), ['acmee'])).rejects.toMatchObject({
      code: 'usage.invalid',
    });
  });

  test('with another key of the same unit is refused rather than mixed', async () => {
    await encode(await make(), 'rows', 'acme');
    await cp(keys, join(folder, 'copy'), { recursive: true });
    await rm(keys, { recursive: true });
    await encode(await make(), 'rows', 'acme');
    const unitKeys = await (await make()).unitKeys!();
    await expect(unitKeys.export(join(folder, 'copy'))).rejects.toThrow('hold different keys');
  });
});
