import type * as FileSystem from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { bodyOf, collect, testContext } from '@pgsilo/testkit';
import { ownFolder, sinkIn, treeOf } from './folder.ts';

/** What reached the file system, in order; a name stands for a path, `part` for an unfinished object. */
const events: string[] = [];
/** The same for links and syncs, with the beginning of each sync. */
const order: string[] = [];
/** What `link` answers; undefined: it links. */
let linkFails: string | undefined;

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof FileSystem>();
  const nameOf = (path: unknown): string =>
    String(path).endsWith('.part') ? 'part' : basename(String(path));
  return {
    ...real,
    async open(path: string, ...rest: [number, number]): Promise<FileHandle> {
      const handle = await real.open(path, ...rest);
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        order.push(`begin ${nameOf(path)}`);
        await sync();
        order.push(`end ${nameOf(path)}`);
        events.push(`sync ${nameOf(path)}`);
      };
      return handle;
    },
    async mkdir(path: string, options: { mode: number; recursive?: boolean }): Promise<string | undefined> {
      const made = await real.mkdir(path, options);
      events.push(`mkdir ${nameOf(path)}`);
      return made;
    },
    async link(from: string, to: string): Promise<void> {
      if (linkFails !== undefined) throw Object.assign(new Error(linkFails), { code: linkFails });
      await real.link(from, to);
      order.push(`link ${nameOf(to)}`);
      events.push(`link ${nameOf(from)} ${nameOf(to)}`);
    },
    async rename(from: string, to: string): Promise<void> {
      await real.rename(from, to);
      events.push(`rename ${nameOf(from)} ${nameOf(to)}`);
    },
    async unlink(path: string): Promise<void> {
      await real.unlink(path);
      events.push(`unlink ${nameOf(path)}`);
    },
  };
});

const context = testContext();
const artifact = { kind: 'artifact' } as const;

beforeEach(() => {
  linkFails = undefined;
  events.length = 0;
  order.length = 0;
});

test('bytes reach the disk before the name, and each name before put resolves', async () => {
  const folder = await ownFolder();
  const sink = sinkIn(folder);
  await sink.put('a/one', bodyOf('x'), artifact, context);
  expect(events).toEqual([
    'mkdir objects',
    `sync ${basename(folder)}`,
    'mkdir .pgsilo~writing',
    'sync objects',
    'sync part',
    'mkdir a',
    'sync objects',
    'link part one',
    'sync a',
    'unlink part',
  ]);
  events.length = 0;
  await sink.put('a/two', bodyOf('y'), artifact, context);
  expect(events).toEqual(['sync part', 'link part two', 'sync a', 'unlink part']);
  events.length = 0;
  await sink.remove(['a/one'], context);
  expect(events).toEqual(['unlink one', 'sync a']);
});

test('puts at once share what brings their folder to the disk, each one that began after its name was there', async () => {
  const sink = sinkIn(await ownFolder());
  await sink.put('a/first', bodyOf('x'), artifact, context);
  order.length = 0;
  const names = Array.from({ length: 24 }, (_, index) => `object-${index}`);
  await Promise.all(
    names.map(async (name) => {
      await sink.put(`a/${name}`, bodyOf(name), artifact, context);
      order.push(`done ${name}`);
    }),
  );
  const syncs = order.flatMap((event, at) =>
    event === 'begin a' ? [{ begin: at, end: order.indexOf('end a', at) }] : [],
  );
  expect(syncs.length).toBeLessThan(names.length);
  for (const name of names) {
    const [linked, done] = [order.indexOf(`link ${name}`), order.indexOf(`done ${name}`)];
    const covered = syncs.some(({ begin, end }) => begin > linked && end < done);
    expect({ name, covered }).toEqual({ name, covered: true });
  }
});

test('what another process stored is made durable on request, with each folder above it', async () => {
  const folder = await ownFolder();
  await sinkIn(folder, undefined, false).put('a/b/one', bodyOf('x'), artifact, context);
  events.length = 0;
  await sinkIn(folder).settle!('a/b/one', context);
  expect(events).toEqual(['sync b', 'sync a', 'sync objects']);
});

test('without fsync nothing is waited for', async () => {
  await sinkIn(await ownFolder(), undefined, false).put('a/one', bodyOf('x'), artifact, context);
  expect(events.filter((event) => event.startsWith('sync'))).toEqual([]);
});

describe('where the file system has no hard links', () => {
  test.each(['EPERM', 'ENOTSUP', 'ENOSYS'])(
    '%s: a claim and a rename do, and doctor says so',
    async (code) => {
      linkFails = code;
      const folder = await ownFolder();
      const sink = sinkIn(folder);
      await sink.put('one', bodyOf('x'), artifact, context);
      await expect(sink.put('one', bodyOf('y'), artifact, context)).rejects.toMatchObject({
        code: 'sink.exists',
      });
      expect(String(await collect(sink.get('one', undefined, context)))).toBe('x');
      expect(events.filter((event) => event.startsWith('rename'))).toEqual(['rename part one']);
      expect(await treeOf(join(folder, 'objects'))).toEqual(['.pgsilo~writing/', 'one']);
      const messages: string[] = [];
      for await (const { message } of sink.check(context)) messages.push(message);
      expect(messages.join('\n')).toContain('claim');
    },
  );

  test.each(['EIO', 'ENOSPC'])('%s is no such thing: it fails, and leaves nothing', async (code) => {
    linkFails = code;
    const folder = await ownFolder();
    const put = sinkIn(folder).put('a/one', bodyOf('x'), artifact, context);
    await expect(put).rejects.toMatchObject({ code: code === 'EIO' ? 'sink.unreachable' : 'sink.full' });
    expect(await treeOf(join(folder, 'objects'))).toEqual(['.pgsilo~writing/']);
  });
});
