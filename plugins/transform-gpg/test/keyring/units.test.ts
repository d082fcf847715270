import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
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

async function filesIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe('a unit', () => {
  test('gets a key pair at its first backup, and the manifest names it', async () => {
    const transform = await make();
    const first = await encode(transform, 'rows', 'acme');
    const second = await encode(transform, 'more rows', 'acme');
    const other = await encode(transform, 'rows', 'globex');
    expect(first.parameters).toMatchObject({
      unit: 'acme',
      recipients: [expect.stringMatching(/^[0-9A-F]{40}$/)],
    });
    expect(second.parameters['recipients']).toEqual(first.parameters['recipients']);
    expect(other.parameters['recipients']).not.toEqual(first.parameters['recipients']);
    expect(String(await decode(await make(), first))).toBe('rows');
  });

  test('has a key that never lies in plain on the disk, in files for nobody else', async () => {
    await encode(await make(), 'rows', 'acme');
    const files = await filesIn(keys);
    expect(files.map((file) => file.slice(keys.length)).toSorted()).toEqual([
      '/acme/000001/key.json',
      '/acme/000001/private.asc',
      '/acme/000001/public.asc',
    ]);
    for (const file of files) {
      expect((await stat(file)).mode & 0o777, `${file}`).toBe(0o600);
      expect(await readFile(file, 'utf8')).not.toContain('PRIVATE KEY');
    }
    for (const path of [keys, join(keys, 'acme'), join(keys, 'acme/000001')])
      expect((await stat(path)).mode & 0o777, `${path}`).toBe(0o700);
  });

  test('is read by hand: gpg opens its key with that of the operators, and then the backup', async () => {
    const { bytes } = await encode(await make(), 'rows', 'acme');
    const unwrapped = await home.must(['--decrypt', join(keys, 'acme/000001/private.asc')]);
    const restorer = await makeGpgHome();
    try {
      await restorer.must(['--import'], unwrapped);
      expect(String(await restorer.must(['--decrypt'], bytes))).toBe('rows');
    } finally {
      await restorer.dispose();
    }
  });

  test("is read with the operators' key in gpg's agent", async () => {
    const encoded = await encode(await make(), 'rows', 'acme');
    const saved = process.env['GNUPGHOME'];
    process.env['GNUPGHOME'] = home.path;
    try {
      expect(String(await decode(await make({ decryptKeys: [], decryptWith: 'gpg' }), encoded))).toBe('rows');
    } finally {
      if (saved === undefined) delete process.env['GNUPGHOME'];
      else process.env['GNUPGHOME'] = saved;
    }
  });

  test("cannot be read without the operators' private key, nor by another unit's key", async () => {
    const encoded = await encode(await make(), 'rows', 'acme');
    const denied = { code: 'transform.key-missing' };
    await expect(decode(await make({ decryptKeys: [] }), encoded)).rejects.toMatchObject(denied);
    await encode(await make(), 'rows', 'globex');
    const posing = { ...encoded, parameters: { ...encoded.parameters, unit: 'globex' } };
    await expect(decode(await make(), posing)).rejects.toMatchObject(denied);
  });

  test('of a hostile name gets a folder of its own within the keyring', async () => {
    const names = [
      '../../etc',
      '..',
      '.',
      'a/b',
      'Acme',
      'acme',
      'a=2fb',
      '@globals',
      'globals',
      'new\nline',
      '-rf',
      'CON',
      'é',
      'x'.repeat(300),
      `${'x'.repeat(299)}y`,
      '$(id)',
      '\0',
      ' ',
    ];
    const transform = await make();
    const encoded = [];
    for (const name of names) encoded.push(await encode(transform, name, name));
    const folders = await readdir(keys);
    expect(new Set(folders.map((each) => each.toLowerCase())).size).toBe(names.length);
    for (const each of folders) expect(each).toMatch(/^[a-z0-9_=][a-z0-9._=-]{0,129}$/);
    expect(await readdir(folder)).toEqual(['keys']);
    for (const [index, name] of names.entries())
      expect(String(await decode(transform, encoded[index]!))).toBe(name);
    const listed = await (await transform.unitKeys!()).list();
    expect(listed.map(({ unit }) => unit).toSorted()).toEqual(names.toSorted());
  });

  test(
    'that many processes back up at the same time for the first time gets one key',
    { timeout: 120_000 },
    async () => {
      const script = join(import.meta.dirname, 'encode-once.ts');
      const started = Array.from({ length: 6 }, () =>
        promisify(execFile)(process.execPath, [script, folder, JSON.stringify(options), 'acme']),
      );
      const encoded = (await Promise.all(started)).map(
        ({ stdout }) => JSON.parse(stdout) as { bytes: string; parameters: { recipients: string[] } },
      );
      expect(new Set(encoded.map(({ parameters }) => parameters.recipients[0])).size).toBe(1);
      expect(await readdir(join(keys, 'acme'))).toEqual(['000001']);
      for (const { bytes, parameters } of encoded)
        expect(String(await decode(await make(), { bytes: Buffer.from(bytes, 'base64'), parameters }))).toBe(
          'rows',
        );
    },
  );

  test('of which many artifacts are encoded at once gets one key', async () => {
    const transform = await make();
    const all = await Promise.all(Array.from({ length: 8 }, () => encode(transform, 'rows', 'acme')));
    expect(new Set(all.map(({ parameters }) => String(parameters['recipients']))).size).toBe(1);
    expect(await readdir(join(keys, 'acme'))).toEqual(['000001']);
  });

  test('is not backed up when its key cannot be kept', async () => {
    await writeFile(keys, 'a file where the folder should be');
    await expect(encode(await make(), 'rows', 'acme')).rejects.toMatchObject({
      code: 'transform.key-missing',
      message: expect.stringMatching(/^the keyring cannot be written: \S+\/keys\S*: (EEXIST|ENOTDIR)/),
    });
  });

  test('whose public half was exchanged is not encrypted to the stranger', async () => {
    await encode(await make(), 'rows', 'acme');
    const path = join(keys, 'acme/000001/public.asc');
    await chmod(path, 0o600);
    await writeFile(path, await home.must(['--armor', '--export', 'ops']));
    await expect(encode(await make(), 'rows', 'acme')).rejects.toMatchObject({
      code: 'transform.key-missing',
      message: expect.stringContaining('does not hold the key'),
    });
  });
});

test('the keys of another unit are not used, though their folder was put in place of its own', async () => {
  const transform = await make();
  const encoded = await encode(transform, 'rows', 'acme');
  await encode(transform, 'rows', 'globex');
  await rm(join(keys, 'acme'), { recursive: true });
  await cp(join(keys, 'globex'), join(keys, 'acme'), { recursive: true });
  const damaged = {
    code: 'transform.key-missing',
    message: expect.stringContaining('the keyring is damaged'),
  };
  await expect(encode(await make(), 'rows', 'acme')).rejects.toMatchObject(damaged);
  await expect(decode(await make(), encoded)).rejects.toMatchObject(damaged);
});

describe('a rotated key', () => {
  test('is used for new backups, and the old one still reads the old ones', async () => {
    const transform = await make();
    const old = await encode(transform, 'old', 'acme');
    const unitKeys = await transform.unitKeys!();
    const rotated = await unitKeys.rotate('acme', new Date());
    expect(rotated).toMatchObject({ generation: 2, state: 'current' });
    const fresh = await encode(transform, 'new', 'acme');
    expect(fresh.parameters['recipients']).toEqual([rotated.fingerprint]);
    for (const [encoded, text] of [
      [old, 'old'],
      [fresh, 'new'],
    ] as const)
      expect(String(await decode(await make(), encoded))).toBe(text);
    expect((await unitKeys.list(['acme'])).map(({ state }) => state)).toEqual(['earlier', 'current']);
  });

  test('needs a first one', async () => {
    const unitKeys = await (await make()).unitKeys!();
    await expect(unitKeys.rotate('acme', new Date())).rejects.toMatchObject({ code: 'usage.invalid' });
  });
});
