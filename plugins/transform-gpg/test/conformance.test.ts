import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll } from 'vitest';
import type { Setup } from '@pgsilo/plugin';
import { recordingLogger } from '@pgsilo/testkit';
import { describeTransform } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';
import { makeGpgHome } from './gpg-home.ts';
import type { GpgHome } from './gpg-home.ts';

const setup: Setup = { pipeline: 'test', folder: '/', log: recordingLogger() };
const passphrase = 'correct horse battery staple';
let home: GpgHome;
let files: { readonly recipients: readonly string[]; readonly decryptKeys: readonly string[] };

beforeAll(async () => {
  home = await makeGpgHome();
  await home.makeKey('ops');
  files = { recipients: [await home.exportPublic('ops')], decryptKeys: [await home.exportPrivate('ops')] };
  const file = join(home.path, 'passphrase');
  await writeFile(file, passphrase);
  // What a person is asked for in a dialogue.
  await writeFile(join(home.path, 'gpg.conf'), `batch\npinentry-mode loopback\npassphrase-file ${file}\n`);
});
afterAll(() => home.dispose());

describeTransform('gpg to a public key', async () => ({
  transform: await plugin.create(plugin.options.parse(files), setup),
  traits: plugin.traits,
  environment: home.env,
}));

describeTransform('gpg with a passphrase', async () => ({
  transform: await plugin.create(plugin.options.parse({ passphrase }), setup),
  traits: plugin.traits,
  largeBytes: 3_000_000,
  environment: home.env,
}));
