import { randomUUID } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Transform } from '@pgsilo/plugin';
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

  test('that is not mounted is not made, and the log says that it lacks the key', async () => {
    const setup = setupIn(folder);
    await encode(await makeTransform({ ...options, ...copied }, setup), 'rows', 'acme');
    expect(await readdir(folder)).toEqual(['keys']);
    expect(setup.log.entries).toMatchObject([
      { level: 'warn', fields: { unit: 'acme', copy: join(folder, 'copy') } },
    ]);
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
