import { randomUUID } from 'node:crypto';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
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

describe('a keyring that cannot be read', () => {
  const refused = {
    code: 'transform.key-missing',
    message: expect.stringContaining('the keyring cannot be read: '),
  };

  test.each(['key.json', 'public.asc', 'private.asc'])(
    'is no damaged backup, and no defect: %s',
    async (name) => {
      const encoded = await encode(await make(), 'rows', 'acme');
      const path = join(keys, 'acme/000001', name);
      await rm(path);
      // The disk's own refusals cannot be made here; this one is as good.
      await mkdir(path);
      const used =
        name === 'public.asc' ? encode(await make(), 'rows', 'acme') : decode(await make(), encoded);
      await expect(used).rejects.toMatchObject(refused);
      await expect(used).rejects.toThrow('/acme/000001');
    },
  );

  test('is told as a whole', async () => {
    await symlink('keys', keys);
    const unitKeys = await (await make()).unitKeys!();
    for (const use of [
      async () => encode(await make(), 'rows', 'acme'),
      () => unitKeys.list(),
      // The first that rejects leaves no other behind that nobody waits for.
      () => unitKeys.list(['acme', 'globex']),
    ])
      await expect(use()).rejects.toMatchObject(refused);
  });

  test('in one unit hides no other', async () => {
    const transform = await make();
    for (const unit of ['acme', 'globex', 'initech']) await encode(transform, 'rows', unit);
    for (const unit of ['acme', 'globex']) await writeFile(join(keys, unit, '000001/key.json'), '{');
    const unitKeys = await transform.unitKeys!();
    await expect(unitKeys.list()).rejects.toThrow('the keyring is damaged');
    const unreadable: string[] = [];
    const listed = await unitKeys.list(undefined, (unit, { code }) => unreadable.push(`${unit} ${code}`));
    expect(listed.map(({ unit }) => unit)).toEqual(['initech']);
    expect(unreadable).toEqual(['acme transform.key-missing', 'globex transform.key-missing']);
  });
});
