import { chmod, lstat, mkdir, readdir, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bodyOf, collect, randomBody, testContext, throwingBody } from '@pgsilo/testkit';
import type { ObjectInfo } from '@pgsilo/plugin';
import { ownFolder, sinkIn, treeOf } from './folder.ts';

const note = { kind: 'note' } as const;
const context = testContext();

async function keysOf(found: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = [];
  for await (const object of found) keys.push(object.key);
  return keys.sort();
}

describe('modes and folders', () => {
  test.each([0o000, 0o777])('files are 0600 and folders 0700 under umask %i', async (umask) => {
    const folder = await ownFolder();
    const old = process.umask(umask);
    try {
      await sinkIn(folder).put('a/b/object', bodyOf('x'), note, context);
    } finally {
      process.umask(old);
    }
    const modes = ['', 'a', 'a/b', 'a/b/object'].map(
      async (path) => (await lstat(join(folder, 'objects', path))).mode & 0o7777,
    );
    expect(await Promise.all(modes)).toEqual([0o700, 0o700, 0o700, 0o600]);
  });

  test('a folder that is there keeps its mode', async () => {
    const folder = await ownFolder();
    await mkdir(join(folder, 'objects'));
    await chmod(join(folder, 'objects'), 0o750);
    await sinkIn(folder).put('object', bodyOf('x'), note, context);
    expect((await lstat(join(folder, 'objects'))).mode & 0o777).toBe(0o750);
  });

  test('folders that have become empty go with the last object, the root stays', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    await sink.put('a/b/c/one', bodyOf('x'), note, context);
    await sink.put('a/two', bodyOf('x'), note, context);
    await sink.remove(['a/b/c/one'], context);
    expect(await treeOf(join(folder, 'objects'))).toEqual(['.pgsilo~writing/', 'a/', 'a/two']);
    await sink.remove(['a/two'], context);
    await sink.close();
    expect(await treeOf(folder)).toEqual(['objects/']);
  });

  test('puts and removals in one folder at once do not get in each other’s way', async () => {
    const sink = sinkIn(await ownFolder(), undefined, false);
    for (let round = 0; round < 40; round += 1) {
      const old = `shared/deep/${round}`;
      await sink.put(old, bodyOf('old'), note, context);
      await Promise.all([
        sink.remove([old], context),
        sink.put(`shared/deep/new-${round}`, bodyOf('new'), note, context),
      ]);
      await sink.remove([`shared/deep/new-${round}`], context);
    }
    expect(await keysOf(sink.list('', context))).toEqual([]);
  });

  test('a folder that another process pruned is made again', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    const other = sinkIn(folder);
    await sink.put('a/b/one', bodyOf('x'), note, context);
    await other.remove(['a/b/one'], context);
    await other.close();
    expect(await treeOf(join(folder, 'objects'))).toEqual([]);
    await sink.put('a/b/two', bodyOf('y'), note, context);
    expect(await keysOf(sink.list('', context))).toEqual(['a/b/two']);
  });

  test.each([false, true])(
    'a root that is gone, as after an unmount, is sink.unreachable; an empty folder instead: %s',
    async (instead) => {
      const folder = await ownFolder();
      const sink = sinkIn(folder);
      await sink.put('a/b/one', bodyOf('x'), note, context);
      await rename(join(folder, 'objects'), join(folder, 'elsewhere'));
      if (instead) await mkdir(join(folder, 'objects'));
      const unreachable = { code: 'sink.unreachable' };
      await expect(sink.put('a/b/two', bodyOf('y'), note, context)).rejects.toMatchObject(unreachable);
      await expect(keysOf(sink.list('', context))).rejects.toMatchObject(unreachable);
      await expect(sink.stat('a/b/one', context)).rejects.toMatchObject(unreachable);
      await expect(collect(sink.get('a/b/one', undefined, context))).rejects.toMatchObject(unreachable);
      await expect(sink.remove(['a/b/one'], context)).rejects.toMatchObject(unreachable);
      expect(await treeOf(folder)).not.toContain('objects/a/');
    },
  );

  test('a root that is not there yet is empty, and a file in its place is an error', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    expect(await keysOf(sink.list('', context))).toEqual([]);
    expect(await sink.remove(['a/b'], context)).toEqual([]);
    expect(await sink.sweep?.('', new Date(), context)).toBe(0);
    await expect(sink.stat('a', context)).rejects.toMatchObject({ code: 'sink.not-found' });
    await writeFile(join(folder, 'objects'), 'a file');
    await expect(sink.put('a', bodyOf('x'), note, context)).rejects.toMatchObject({ code: 'sink.denied' });
    expect(await readdir(folder)).toEqual(['objects']);
  });
});

describe('what others put into the folder', () => {
  test('names that are no keys are not listed', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    await sink.put('a', bodyOf('x'), note, context);
    await mkdir(join(folder, 'objects/lost+found'));
    for (const name of ['with space', 'ñ', '.a.swp~', 'line\nbreak'])
      await writeFile(join(folder, 'objects', name), '');
    await writeFile(join(folder, 'objects/lost+found/x'), '');
    expect(await keysOf(sink.list('', context))).toEqual(['a']);
  });

  test('a planted link is neither followed nor listed, wherever it stands', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    await sink.put('a/object', bodyOf('x'), note, context);
    await mkdir(join(folder, 'outside'));
    await writeFile(join(folder, 'outside/secret'), 'secret');
    await symlink(join(folder, 'outside'), join(folder, 'objects/linked'));
    await symlink(join(folder, 'outside/secret'), join(folder, 'objects/a/link'));
    await symlink(join(folder, 'outside/new'), join(folder, 'objects/dangling'));

    expect(await keysOf(sink.list('', context))).toEqual(['a/object']);
    const corrupt = { code: 'sink.corrupt' };
    await expect(keysOf(sink.list('linked/', context))).rejects.toMatchObject(corrupt);
    for (const key of ['linked/secret', 'a/link', 'dangling']) {
      await expect(collect(sink.get(key, undefined, context))).rejects.toMatchObject(corrupt);
      await expect(sink.stat(key, context)).rejects.toMatchObject(corrupt);
      await expect(sink.put(key, bodyOf('y'), note, context)).rejects.toMatchObject(corrupt);
    }
    await expect(sink.put('linked/new', bodyOf('y'), note, context)).rejects.toMatchObject(corrupt);
    await expect(sink.remove(['linked/secret'], context)).rejects.toMatchObject(corrupt);
    await sink.remove(['a/link'], context);
    expect(await treeOf(join(folder, 'outside'))).toEqual(['secret']);
  });

  test('a link in place of the folder for unfinished objects is refused', async () => {
    const folder = await ownFolder();
    await mkdir(join(folder, 'objects'));
    await mkdir(join(folder, 'outside'));
    await symlink(join(folder, 'outside'), join(folder, 'objects/.pgsilo~writing'));
    await expect(sinkIn(folder).put('a', bodyOf('x'), note, context)).rejects.toMatchObject({
      code: 'sink.corrupt',
    });
    expect(await treeOf(join(folder, 'outside'))).toEqual([]);
  });

  test('the root itself may be a link', async () => {
    const folder = await ownFolder();
    await mkdir(join(folder, 'disk'));
    await symlink(join(folder, 'disk'), join(folder, 'objects'));
    const sink = sinkIn(folder);
    await sink.put('a/b', bodyOf('x'), note, context);
    expect(String(await collect(sink.get('a/b', undefined, context)))).toBe('x');
    expect(await keysOf(sink.list('a/', context))).toEqual(['a/b']);
    await sink.remove(['a/b'], context);
  });

  test.each(['../x', 'a/../../x', '/etc/passwd', 'a//b', '.', '', 'a\0b', 'a\nb'])(
    'a key %j is refused',
    async (key) => {
      const folder = await ownFolder();
      const sink = sinkIn(folder);
      await expect(sink.put(key, bodyOf('x'), note, context)).rejects.toMatchObject({ code: 'internal' });
      await expect(collect(sink.get(key, undefined, context))).rejects.toMatchObject({ code: 'internal' });
      await expect(sink.remove([key], context)).rejects.toMatchObject({ code: 'internal' });
    },
  );

  test('a prefix that leads out of the folder finds nothing', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    await sink.put('a', bodyOf('x'), note, context);
    for (const prefix of ['../', '../objects/', '/', './'])
      expect(await keysOf(sink.list(prefix, context))).toEqual([]);
  });
});

test('an object that was cut while it is read is corrupt', async () => {
  const folder = await ownFolder();
  const sink = sinkIn(folder);
  await sink.put('large', randomBody(3_000_000), note, context);
  const read = sink.get('large', undefined, context)[Symbol.asyncIterator]();
  await read.next();
  await truncate(join(folder, 'objects/large'), 1_000_000);
  const rest = (async () => {
    while (!(await read.next()).done);
  })();
  await expect(rest).rejects.toMatchObject({ code: 'sink.corrupt' });
});

test('a failed put leaves neither file nor folder', async () => {
  const folder = await ownFolder();
  const sink = sinkIn(folder);
  await expect(sink.put('a/b/c', throwingBody(new Error('no')), note, context)).rejects.toThrow('no');
  expect(await treeOf(join(folder, 'objects'))).toEqual(['.pgsilo~writing/']);
});

test('a listing of 20,000 objects holds little and keeps few folders open', async () => {
  const folder = await ownFolder();
  const sink = sinkIn(folder);
  for (let unit = 0; unit < 100; unit += 1) {
    const path = join(folder, 'objects', `units/${unit}`);
    await mkdir(path, { recursive: true });
    await Promise.all(Array.from({ length: 200 }, (_, index) => writeFile(join(path, String(index)), '')));
  }
  const { heldBytes } = await import('@pgsilo/testkit/conformance');
  const before = await heldBytes();
  let count = 0;
  let most = 0;
  let open = 0;
  for await (const object of sink.list('units/', context)) {
    count += object.key.length > 0 ? 1 : 0;
    if (count % 4000 !== 0) continue;
    most = Math.max(most, (await heldBytes()) - before);
    open = Math.max(open, (await readdir('/proc/self/fd').catch(() => [])).length);
  }
  expect(count).toBe(20_000);
  expect(most).toBeLessThan(3 * 1024 * 1024);
  expect(open).toBeLessThan(100);
});
