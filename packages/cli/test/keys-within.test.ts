import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Transform } from '@pgsilo/plugin';
import { keysWithin } from '../src/keys-within.ts';
import { pgsilo, project } from './pgsilo.ts';

async function tree(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-keys-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'store', 'keys'), { recursive: true });
  await mkdir(join(folder, 'store-keys'));
  await symlink(join(folder, 'store'), join(folder, 'link'));
  return folder;
}

describe('keys that lie in a sink', () => {
  it.each([
    ['store/keys', true],
    ['store', true],
    ['store/not/there/yet', true],
    ['link/keys', true],
    ['link/not/there/yet', true],
    ['store-keys', false],
    ['..store', false],
    ['.', false],
    ['keys', false],
  ])('%s: %s', async (keys, within) => {
    const folder = await tree();
    const transform = { keyFolders: ['/elsewhere', join(folder, keys)] } as unknown as Transform;
    const expected = within ? join(folder, keys) : undefined;
    expect(await keysWithin(join(folder, 'store'), transform)).toBe(expected);
    expect(await keysWithin(undefined, transform)).toBeUndefined();
    expect(await keysWithin('aws bucket/keys', transform)).toBeUndefined();
  });

  it.each([
    ['the keyring', { keyring: { path: 'store/keys' } }],
    ['a copy of it', { keyring: { path: 'keys', copies: ['store/copy'] } }],
  ])('%s: the pipeline is refused', { timeout: 60_000 }, async (_, keyring) => {
    const ops = join(import.meta.dirname, 'fixtures', 'ops.asc');
    const gpg = { use: 'gpg', perUnit: true, wrapFor: [ops], ...keyring };
    const { file } = await project({ more: { transforms: [gpg] } });
    const ended = await pgsilo(['backup', file]);
    expect(ended.exit).toBe(2);
    expect(ended.stderr).toMatch(/the keys in .*store.* would lie in the sink local/);
  });
});
