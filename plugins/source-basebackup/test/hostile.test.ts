import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pack, type Header } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ArtifactView } from '@pgsilo/plugin';
import { bodyOf, collect } from '@pgsilo/testkit';
import { FilePlacer } from '../src/place-files.ts';
import { lookAtFolder, mapTablespaces, requireApart, requireRoom } from '../src/target-folders.ts';

let folder: string;
let placer: FilePlacer;
let data: Awaited<ReturnType<typeof lookAtFolder>>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pgsilo-hostile-'));
  for (const name of ['data', 'space']) mkdirSync(join(folder, name));
  data = await lookAtFolder(join(folder, 'data'));
  const space = await lookAtFolder(join(folder, 'space'));
  placer = new FilePlacer({ data, tablespaces: new Map([['16400', space]]) }, AbortSignal.timeout(30_000));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

type Entry = Partial<Header> & { readonly name: string };

async function artifactOf(name: string, entries: readonly Entry[], cutAt?: number): Promise<ArtifactView> {
  const tar = pack();
  for (const entry of entries) tar.entry(entry, entry.type === undefined ? 'content' : '');
  tar.finalize();
  const bytes = Buffer.from(await collect(tar as AsyncIterable<Uint8Array>)).subarray(0, cutAt);
  return {
    name,
    format: 'tar',
    bytes: bytes.length,
    open: () => bodyOf(bytes),
    spool: () => Promise.reject(new Error('not asked for')),
  };
}

/** Everything below the test's folder, by path. */
function everything(): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

describe('an altered backup', () => {
  const cases: readonly (readonly [string, string, Entry[]])[] = [
    ['a path that leads out', 'base.0001.tar', [{ name: '../out' }]],
    ['a path that leads out later', 'base.0001.tar', [{ name: 'base/../../out' }]],
    ['a path that leads out of a tablespace', 'tablespace-16400.0001.tar', [{ name: 'PG_15/../../data/x' }]],
    ['an absolute path', 'base.0001.tar', [{ name: '/tmp/pgsilo-out' }]],
    ['a hard link', 'base.0001.tar', [{ name: 'a', type: 'link', linkname: '/etc/passwd' }]],
    ['a device', 'base.0001.tar', [{ name: 'a', type: 'character-device', devmajor: 1, devminor: 3 }]],
    ['a pipe', 'base.0001.tar', [{ name: 'a', type: 'fifo' }]],
    ['a link to somewhere', 'base.0001.tar', [{ name: 'base', type: 'symlink', linkname: '/tmp' }]],
    ['a link of no tablespace', 'base.0001.tar', [{ name: 'pg_tblspc/1', type: 'symlink', linkname: '/tmp' }]],
    ['a link in a tablespace', 'tablespace-16400.0001.tar', [{ name: 'pg_tblspc/16400', type: 'symlink', linkname: '/tmp' }]],
    ['a file behind a link', 'base.0001.tar', [{ name: 'pg_tblspc/16400', type: 'symlink', linkname: '/tmp' }, { name: 'pg_tblspc/16400/x' }]],
    ['a file twice', 'base.0001.tar', [{ name: 'a' }, { name: 'a' }]],
  ]; // prettier-ignore
  test.each(cases)('with %s is refused, and nothing is written outside', async (_what, name, entries) => {
    await expect(placer.place(await artifactOf(name, entries))).rejects.toMatchObject({
      code: 'source.archive-invalid',
      message: expect.stringContaining(name),
    });
    const allowed = /^(?:data|space|data\/a|data\/pg_tblspc(?:\/16400)?)$/;
    expect(everything().filter((path) => !allowed.test(path))).toEqual([]);
  });

  test.each([100, 700, 1100])('that is cut at byte %i is refused', async (at) => {
    const cut = await artifactOf('base.0001.tar', [{ name: 'a' }, { name: 'b' }], at);
    await expect(placer.place(cut)).rejects.toMatchObject({ code: 'source.archive-invalid' });
  });
});

test('files are put where they belong, and their names and modes stay what they are', async () => {
  await placer.place(
    await artifactOf('base.0001.tar', [
      { name: './base/1/a b\n$(x)', mode: 0o640 },
      { name: 'global/', type: 'directory', mode: 0o750 },
      { name: 'pg_tblspc/16400', type: 'symlink', linkname: '/where/it/was' },
      { name: 'pg_tblspc/9/PG_15/1/in-place' },
    ]),
  );
  await placer.place(await artifactOf('database-5-tablespace-16400.tar', [{ name: 'PG_15/5/1' }]));
  expect(readFileSync(join(folder, 'data', 'base/1/a b\n$(x)'), 'utf8')).toBe('content');
  expect(statSync(join(folder, 'data', 'base/1/a b\n$(x)')).mode & 0o777).toBe(0o640);
  expect(statSync(join(folder, 'data', 'global')).mode & 0o777).toBe(0o750);
  // Through the link, which leads to the new place.
  expect(readFileSync(join(folder, 'data', 'pg_tblspc/16400/PG_15/5/1'), 'utf8')).toBe('content');
  expect(everything()).toContain('space/PG_15/5/1');
  expect([...placer.sizes.keys()].sort()).toEqual([
    'base/1/a b\n$(x)', 'pg_tblspc/16400/PG_15/5/1', 'pg_tblspc/9/PG_15/1/in-place',
  ]); // prettier-ignore
});

describe('folders that are named', () => {
  test('must be empty, apart, known and large enough', async () => {
    const file = join(folder, 'data', 'a');
    await placer.place(await artifactOf('base.0001.tar', [{ name: 'a' }]));
    await expect(lookAtFolder(join(folder, 'data'))).rejects.toMatchObject({
      code: 'restore.target-not-empty',
    });
    await expect(lookAtFolder(file)).rejects.toMatchObject({ code: 'restore.target-exists' });
    const inside = await lookAtFolder(join(folder, 'data', 'new', 'er'));
    expect(() => requireApart([data, inside])).toThrow(/lies in/);
    expect(() => requireApart([data, data])).toThrow(/lies in/);
    const known = [{ oid: '1', location: '/a' }];
    expect(() => mapTablespaces(known, { '/b': '/c' })).toThrow(/no tablespace .* "\/b"/);
    expect([...mapTablespaces(known, { '/a': '/c' }).values()]).toEqual(['/c']);
    expect([...mapTablespaces(known, {}).values()]).toEqual(['/a']);
    // Together they need more than there is.
    const bytes = data.freeBytes * 0.6;
    expect(() => requireRoom([{ folder: data, bytes }])).not.toThrow();
    expect(() => requireRoom([data, inside].map((one) => ({ folder: one, bytes })))).toThrow(/left/);
  });
});
