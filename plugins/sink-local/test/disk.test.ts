import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { CheckResult, Sink } from '@pgsilo/plugin';
import { bodyOf, collect, randomBody, testContext } from '@pgsilo/testkit';
import { ownFolder, sinkIn, treeOf } from './folder.ts';

const context = testContext();
const artifact = { kind: 'artifact' } as const;
const mounted: string[] = [];

afterEach(() => {
  for (const path of mounted.splice(0).toReversed()) execFileSync('umount', [path]);
});

function mount(...argv: readonly string[]): void {
  execFileSync('mount', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  mounted.push(argv.at(-1)!);
}

/** Undefined where mounting works, else why not. */
function whyNoMounts(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root, to mount file systems';
  const folder = mkdtempSync(join(tmpdir(), 'pgsilo-sink-local-'));
  try {
    const tried = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]);
    if (tried.status !== 0)
      return `mounting does not work here: ${String(tried.error ?? tried.stderr).trim()}`;
    execFileSync('umount', [folder]);
    return undefined;
  } finally {
    rmdirSync(folder);
  }
}

const reason = whyNoMounts();

async function resultsOf(sink: Sink): Promise<Readonly<Record<string, CheckResult>>> {
  const results: Record<string, CheckResult> = {};
  for await (const result of sink.check(context)) results[result.name] = result;
  return results;
}

describe.skipIf(reason !== undefined)(
  `file systems of the test's own${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    test('a full one is sink.full and keeps no debris; what was there stays', async () => {
      const folder = await ownFolder();
      await mkdir(join(folder, 'objects'));
      mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', join(folder, 'objects'));
      const sink = sinkIn(folder);
      await sink.put('a/first', randomBody(300_000), artifact, context);
      const put = sink.put('a/second', randomBody(5_000_000), artifact, context);
      await expect(put).rejects.toMatchObject({ code: 'sink.full', hint: expect.stringContaining('Free') });
      expect(await treeOf(join(folder, 'objects'))).toEqual(['.pgsilo~writing/', 'a/', 'a/first']);
      expect(await collect(sink.get('a/first', undefined, context))).toHaveLength(300_000);
      await sink.put('a/third', randomBody(300_000), artifact, context);
    });

    test('one without inodes left is sink.full', async () => {
      const folder = await ownFolder();
      await mkdir(join(folder, 'objects'));
      mount('-t', 'tmpfs', '-o', 'size=1m,nr_inodes=6', 'tmpfs', join(folder, 'objects'));
      const sink = sinkIn(folder);
      await sink.put('one', bodyOf('x'), artifact, context);
      await expect(sink.put('a/b/c/d/e/f', bodyOf('x'), artifact, context)).rejects.toMatchObject({
        code: 'sink.full',
      });
      expect(await treeOf(join(folder, 'objects'))).toEqual(['.pgsilo~writing/', 'one']);
      await sink.put('two', bodyOf('x'), artifact, context);
    });

    test('a full ext4 with delayed allocation is sink.full', async ({ skip }) => {
      const folder = await ownFolder();
      const image = join(folder, 'image');
      if (spawnSync('mkfs.ext4', ['-V']).error) skip('mkfs.ext4 is not installed');
      execFileSync('truncate', ['-s', '8M', image]);
      execFileSync('mkfs.ext4', ['-q', '-O', '^has_journal', image]);
      await mkdir(join(folder, 'objects'));
      try {
        mount('-o', 'loop', image, join(folder, 'objects'));
      } catch (error) {
        skip(`no loop devices here: ${String(error)}`);
      }
      const sink = sinkIn(folder);
      await expect(sink.put('a/large', randomBody(20_000_000), artifact, context)).rejects.toMatchObject({
        code: 'sink.full',
      });
      expect(await treeOf(join(folder, 'objects'))).toEqual(['.pgsilo~writing/', 'lost+found/']);
      await sink.put('a/small', randomBody(1_000_000), artifact, context);
    });

    test('a read-only one is sink.denied before the body is read', async () => {
      const folder = await ownFolder();
      await sinkIn(folder).put('a/first', bodyOf('x'), artifact, context);
      const path = join(folder, 'objects');
      mount('--bind', path, path);
      execFileSync('mount', ['-o', 'remount,bind,ro', path]);
      let read = false;
      async function* body(): AsyncGenerator<Uint8Array> {
        read = true;
        yield Buffer.from('x');
      }
      const sink = sinkIn(folder);
      await expect(sink.put('a/second', body(), artifact, context)).rejects.toMatchObject({
        code: 'sink.denied',
      });
      expect(read).toBe(false);
      await expect(sink.remove(['a/first'], context)).rejects.toMatchObject({ code: 'sink.denied' });
      expect((await resultsOf(sink))['write access']).toMatchObject({
        status: 'failed',
        hint: expect.stringContaining('read-only'),
      });
      expect(await collect(sink.get('a/first', undefined, context))).toHaveLength(1);
    });

    test('doctor warns of one in memory', async () => {
      const folder = await ownFolder();
      await mkdir(join(folder, 'objects'));
      mount('-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', join(folder, 'objects'));
      const results = await resultsOf(sinkIn(folder));
      expect(results['file system']).toMatchObject({
        status: 'warning',
        message: expect.stringContaining('tmpfs'),
      });
      expect(results['free space']).toMatchObject({ status: 'warning' });
    });
  },
);

test('doctor says what it found and leaves nothing', async () => {
  const folder = await ownFolder();
  const sink = sinkIn(folder);
  const results = await resultsOf(sink);
  expect(results['write access']).toMatchObject({ status: 'ok' });
  expect(results['create-only']).toMatchObject({ status: 'ok', message: 'published by hard link' });
  expect(results['free space']?.message).toMatch(/^\d+\.\d GB of \d+\.\d GB free$/);
  expect(await readdir(join(folder, 'objects'))).toEqual(['.pgsilo~writing']);
  await sink.close();
  expect(await readdir(join(folder, 'objects'))).toEqual([]);
});

test.runIf(process.getuid?.() === 0)('a folder of another user is sink.denied', async () => {
  const folder = await ownFolder();
  await sinkIn(folder).put('a', bodyOf('x'), artifact, context);
  // Root is let in everywhere: another user, in a process of its own.
  execFileSync('chmod', ['755', folder]);
  const child = spawnSync(process.execPath, [join(import.meta.dirname, 'writer.ts'), folder, 'b', 'x'], {
    uid: 65_534,
    gid: 65_534,
    input: 'go\n',
  });
  expect(String(child.stdout)).toBe('sink.denied\n');
});
