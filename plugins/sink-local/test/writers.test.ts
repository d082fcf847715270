import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { bodyOf, collect, gatedBody, testContext } from '@pgsilo/testkit';
import { isGone, ownIdentity } from '@pgsilo/plugin/process-identity';
import { ownFolder, sinkIn } from './folder.ts';

const context = testContext();
const longAgo = new Date(0);

interface Writer {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly lines: AsyncIterator<string>;
}

function startWriter(...argv: readonly string[]): Writer {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), ...argv], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
}

async function lineOf(writer: Writer): Promise<string> {
  return String((await writer.lines.next()).value);
}

/** Starts a writer, kills it half-way, and returns when it is gone. */
async function killHalfWay(folder: string): Promise<void> {
  const writer = startWriter(folder, 'a/b/killed', 'x', 'stall');
  expect(await lineOf(writer)).toBe('half');
  const exit = once(writer.child, 'exit');
  writer.child.kill('SIGKILL');
  expect(await exit).toEqual([null, 'SIGKILL']);
}

test('of two processes that write one key, one wins', async () => {
  const folder = await ownFolder();
  const writers = ['x', 'y'].map((content) => startWriter(folder, 'a/contended', content));
  expect(await Promise.all(writers.map(lineOf))).toEqual(['half', 'half']);
  for (const { child } of writers) child.stdin.write('go\n');
  const outcomes = await Promise.all(writers.map(lineOf));
  expect(outcomes.toSorted()).toEqual(['sink.exists', 'stored']);
  const content = await collect(sinkIn(folder).get('a/contended', undefined, context));
  expect(content.equals(Buffer.alloc(4_000_000, outcomes[0] === 'stored' ? 'x' : 'y'))).toBe(true);
});

describe('leftovers', () => {
  test('of a killed writer are not listed, and are swept at once', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    await killHalfWay(folder);
    const listed: string[] = [];
    for await (const { key } of sink.list('', context)) listed.push(key);
    expect(listed).toEqual([]);
    expect(await readdir(join(folder, 'objects'))).toEqual(['.pgsilo~writing']);
    expect(await readdir(join(folder, 'objects/.pgsilo~writing'))).toHaveLength(1);

    expect(await sink.sweep?.('', longAgo, context)).toBe(1);
    expect(await readdir(join(folder, 'objects/.pgsilo~writing'))).toEqual([]);
    expect(await sink.sweep?.('', longAgo, context)).toBe(0);
  });

  test('of a killed writer do not stand in the way of another', async () => {
    const folder = await ownFolder();
    await killHalfWay(folder);
    const sink = sinkIn(folder);
    await sink.put('a/b/killed', bodyOf('again'), { kind: 'artifact' }, context);
    expect(String(await collect(sink.get('a/b/killed', undefined, context)))).toBe('again');
  });

  test('of another host are swept by age alone, and foreign files never', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder);
    await sink.put('a', bodyOf('x'), { kind: 'artifact' }, context);
    const writing = join(folder, 'objects/.pgsilo~writing');
    const theirs = `0123456789abcdef-1-1-${'0'.repeat(16)}.part`;
    await writeFile(join(writing, theirs), 'x');
    await writeFile(join(writing, 'README'), 'x');
    await utimes(join(writing, 'README'), longAgo, longAgo);
    const hourAgo = new Date(Date.now() - 3_600_000);
    expect(await sink.sweep?.('', hourAgo, context)).toBe(0);
    await utimes(join(writing, theirs), longAgo, longAgo);
    expect(await sink.sweep?.('', hourAgo, context)).toBe(1);
    expect(await readdir(writing)).toEqual(['README']);
  });

  test('of a claim are swept too, and until then its key counts as taken', async () => {
    const folder = await ownFolder();
    const sink = sinkIn(folder, 'claim');
    const { body, reached, open } = gatedBody(Buffer.from('x'), Buffer.from('y'));
    const put = sink.put('a', body, { kind: 'artifact' }, context);
    await reached;
    const { createHash } = await import('node:crypto');
    const claim = join(
      folder,
      'objects/.pgsilo~writing',
      `claim-${createHash('sha256').update('a').digest('hex')}`,
    );
    const [space] = ownIdentity().split('-');
    await writeFile(claim, `${space}-4194304-1`);
    open();
    await expect(put).rejects.toMatchObject({ code: 'sink.exists' });
    expect(await sink.sweep?.('', longAgo, context)).toBe(1);
    await sink.put('a', bodyOf('z'), { kind: 'artifact' }, context);
    expect(String(await collect(sink.get('a', undefined, context)))).toBe('z');
  });
});

describe('process identity', () => {
  test('tells the living from the dead', async () => {
    const [space, pid, started] = ownIdentity().split('-');
    expect(isGone(ownIdentity())).toBe(false);
    expect(isGone(`${space}-${pid}-${Number(started) + 1}`)).toBe(process.platform === 'linux');
    const child = spawn(process.execPath, ['-e', '0']);
    await once(child, 'exit');
    expect(isGone(`${space}-${child.pid}-1`)).toBe(true);
    expect(isGone(`0123456789abcdef-${child.pid}-1`)).toBe(false);
    expect(isGone('')).toBe(false);
  });
});
