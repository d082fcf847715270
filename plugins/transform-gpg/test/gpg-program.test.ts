import { afterAll, beforeAll, expect, test } from 'vitest';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { collect, dumpLikeBody } from '@pgsilo/testkit';
import { describeTransform } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';
import { makeGpgHome } from './gpg-home.ts';
import type { GpgHome } from './gpg-home.ts';
import { decode, encode, makeTransform } from './setup.ts';

let home: GpgHome;
let recipients: readonly string[];

beforeAll(async () => {
  home = await makeGpgHome();
  process.env['GNUPGHOME'] = home.path;
  await home.makeKey('ops');
  recipients = [await home.exportPublic('ops')];
});
afterAll(() => home.dispose());

describeTransform('decryption by gpg', async () => ({
  transform: await makeTransform({ recipients, decryptWith: 'gpg' }),
  traits: plugin.traits,
  largeBytes: 3_000_000,
  severalBlocks: 200_000,
  // Each starts gpg a thousand times, which takes minutes on a busy machine.
  waived: { 'altered input': 'tried below at fewer places', 'cut input': 'tried below at fewer places' },
}));

test('gpg decrypts nothing that was altered or cut', async () => {
  const transform = await makeTransform({ recipients, decryptWith: 'gpg' });
  const { bytes, parameters } = await encode(transform, await collect(dumpLikeBody(400)));
  expect((await decode(transform, { bytes, parameters })).length).toBe(400);
  // A step that is prime to eight, so that each bit of a byte has its turn.
  for (let place = 0; place < bytes.length; place += 13) {
    const altered = Buffer.from(bytes);
    altered[place]! ^= 1 << (place % 8);
    for (const wrong of [altered, bytes.subarray(0, place)]) {
      const read = decode(transform, { bytes: wrong, parameters });
      await expect(read, `byte ${place} of ${bytes.length}`).rejects.toMatchObject({
        code: 'transform.corrupt',
      });
    }
  }
});

test('what was never encrypted is refused, though gpg prints it and exits with 0', async () => {
  const transform = await makeTransform({ recipients, decryptWith: 'gpg' });
  for (const parameters of [['--store'], ['--sign']]) {
    const bytes = await home.must(parameters, 'not encrypted');
    expect(String(await home.must(['--decrypt'], bytes))).toBe('not encrypted');
    await expect(decode(transform, { bytes })).rejects.toMatchObject({ code: 'transform.corrupt' });
  }
});

test('a gpg that prints everything and then fails is no success', async () => {
  const transform = await makeTransform({ recipients, decryptWith: 'gpg' });
  const encoded = await encode(transform, 'all of it');
  const folder = join(home.path, 'bin');
  await mkdir(folder);
  const path = process.env['PATH'];
  try {
    for (const [status, said] of [
      [2, '[GNUPG:] DECRYPTION_INFO 2 9 0\\n[GNUPG:] DECRYPTION_OKAY\\n[GNUPG:] GOODMDC'],
      [0, '[GNUPG:] DECRYPTION_INFO 2 9 0\\n[GNUPG:] DECRYPTION_OKAY'],
      [0, '[GNUPG:] DECRYPTION_INFO 2 9 0\\n[GNUPG:] DECRYPTION_FAILED'],
    ] as const) {
      const script = `#!/bin/sh\ncat > /dev/null\necho all of it\nprintf '${said}\\n' >&3\nexit ${status}\n`;
      await writeFile(join(folder, 'gpg'), script, { mode: 0o755 });
      process.env['PATH'] = `${folder}:${path}`;
      await expect(decode(transform, encoded), `${said}`).rejects.toMatchObject({
        code: 'transform.corrupt',
      });
    }
  } finally {
    process.env['PATH'] = path;
  }
});

test('decryption by gpg that lacks the key, or by no gpg at all, is told from damage', async () => {
  const transform = await makeTransform({ recipients, decryptWith: 'gpg' });
  const encoded = await encode(transform, 'x');
  const empty = await makeGpgHome();
  const saved = { GNUPGHOME: process.env['GNUPGHOME'], PATH: process.env['PATH'] };
  try {
    process.env['GNUPGHOME'] = empty.path;
    await expect(decode(transform, encoded)).rejects.toMatchObject({
      code: 'transform.key-missing',
      message: expect.stringContaining('No secret key'),
    });
    process.env['PATH'] = empty.path;
    await expect(decode(transform, encoded)).rejects.toMatchObject({
      code: 'transform.key-missing',
      message: expect.stringContaining('could not be started (ENOENT)'),
    });
  } finally {
    for (const [name, value] of Object.entries(saved)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await empty.dispose();
  }
});
