import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { thirdPartyNotices } from '../third-party.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pgsilo-third-party-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A module of an installed package. */
async function installed(name: string, license: string | undefined, text?: string): Promise<string> {
  const at = join(folder, 'node_modules', name);
  await mkdir(join(at, 'lib'), { recursive: true });
  await writeFile(
    join(at, 'package.json'),
    JSON.stringify({ name, version: '1.2.3', license, author: { name: 'A. Uthor' } }),
  );
  if (text !== undefined) await writeFile(join(at, 'LICENSE.md'), text);
  return join(at, 'lib/index.js');
}

test('each package is named once, with its license and its text', async () => {
  const modules = [
    await installed('left', 'MIT', 'Permission is granted.\n'),
    join(folder, 'node_modules/left/lib/other.js'),
    await installed('@scope/right', 'Apache-2.0'),
    join(folder, 'packages/cli/src/main.ts'),
  ];
  const notices = await thirdPartyNotices(modules);
  expect(notices.match(/^.* 1\.2\.3, .*$/gm)).toEqual([
    '@scope/right 1.2.3, Apache-2.0, A. Uthor',
    'left 1.2.3, MIT, A. Uthor',
  ]);
  expect(notices).toContain('Permission is granted.');
  expect(notices).toContain('brings no text; that of Apache-2.0 stands');
});

test('a license that asks for more is refused, and so is none', async () => {
  const copyleft = await installed('copyleft', 'LGPL-3.0+', 'Share alike.');
  await expect(thirdPartyNotices([copyleft])).rejects.toThrow('copyleft has the license LGPL-3.0+');
  await expect(thirdPartyNotices([await installed('nothing', undefined)])).rejects.toThrow('license');
  await expect(thirdPartyNotices([join(folder, 'packages/cli/src/main.ts')])).rejects.toThrow('no package');
});
