import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Body } from '@pgsilo/plugin';
import { readArchive, splitArchive, type ArchiveContents, type SplitOptions } from '../src/archive/index.ts';
import { archive, chunks, largeObjects, rows, type EntryToWrite } from './archive-bytes.ts';

const table = (dumpId: number, namespace: string, tag = 't'): EntryToWrite => ({
  dumpId, desc: 'TABLE', tag, namespace, definition: `CREATE TABLE ${tag} ();`,
}); // prettier-ignore
const data = (dumpId: number, namespace: string, of: number): EntryToWrite => ({
  dumpId, desc: 'TABLE DATA', namespace, copyStatement: 'COPY t (a) FROM stdin;\n', hasData: true, dependencies: [of],
}); // prettier-ignore
const standard: EntryToWrite = { dumpId: 9002, desc: 'STDSTRINGS', tag: 'STDSTRINGS' };

/** Entries of two schemas in turn, as pg_dump orders them by kind; data of each schema together. */
const entries = [
  standard,
  { dumpId: 1, desc: 'EXTENSION', tag: 'hstore' },
  table(2, 'a'),
  table(3, 'b'),
  table(4, 'a', 'u'),
  data(10, 'a', 2),
  data(11, 'a', 4),
  data(12, 'b', 3),
  { dumpId: 20, desc: 'INDEX', tag: 'i', namespace: 'a', dependencies: [2] },
  { dumpId: 21, desc: 'INDEX', tag: 'i', namespace: 'b', dependencies: [3] },
];
const blocks = [rows(10, ['1', '2']), rows(11, []), rows(12, ['x'.repeat(100), 'y', 'z'])];

const options: SplitOptions = {
  groups: ['@database', 'a', 'b', 'empty'],
  groupOf: (entry) => entry.namespace ?? '@database',
  scratch: () => Promise.reject(new Error('nothing is to be written')),
};

async function split(
  body: Body,
  more: Partial<SplitOptions> = {},
): Promise<Map<string, ArchiveContents & { raw: Buffer }>> {
  const found = new Map<string, ArchiveContents & { raw: Buffer }>();
  for await (const { group, body: part } of splitArchive(body, { ...options, ...more })) {
    const raw = Buffer.concat(await Array.fromAsync(part));
    found.set(group, { ...(await readArchive(chunks(raw, 50))), raw });
  }
  return found;
}

async function refusal(bytes: Uint8Array, size = 64): Promise<string> {
  const reading = (async () => {
    for await (const part of splitArchive(chunks(bytes, size), options)) await Array.fromAsync(part.body);
  })();
  const error: unknown = await reading.catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'source.archive-invalid' });
  return (error as Error).message;
}

const idsOf = (contents: ArchiveContents | undefined): number[] =>
  contents!.toc.entries.map((entry) => entry.dumpId);

test.each([12, 13, 14, 15, 16])(
  'an archive of format 1.%i becomes one for each group, whatever the chunks',
  async (minor) => {
    const whole = archive({ minor, entries, blocks });
    for (const size of [1, 2, 3, 7, 64, 100_000]) {
      const parts = await split(chunks(whole, size));
      expect([...parts.keys()]).toEqual(['@database', 'empty', 'a', 'b']);
      expect(idsOf(parts.get('@database'))).toEqual([9001, 9002, 1]);
      expect(idsOf(parts.get('empty'))).toEqual([9001, 9002]);
      expect(idsOf(parts.get('a'))).toEqual([9001, 9002, 2, 4, 10, 11, 20]);
      expect(idsOf(parts.get('b'))).toEqual([9001, 9002, 3, 12, 21]);
      const countsOf = (group: string): unknown[] =>
        [...parts.get(group)!.data].map(([dumpId, { rows: count }]) => [dumpId, count]);
      expect(countsOf('a')).toEqual([[10, 2], [11, 0]]); // prettier-ignore
      expect(countsOf('b')).toEqual([[12, 3]]);
      expect(parts.get('a')!.toc.header).toEqual((await readArchive(chunks(whole, 99))).toc.header);
    }
  },
);

test('an archive that is of one group alone comes out as it went in', async () => {
  const whole = archive({ entries, blocks });
  const parts = await split(chunks(whole, 40), { groups: [], groupOf: () => 'all' });
  expect(parts.get('all')!.raw.equals(whole)).toBe(true);
});

test('where data lay in the whole archive is forgotten', async () => {
  const placed = entries.map((entry) => ('hasData' in entry ? { ...entry, place: 0x01020304 } : entry));
  const parts = await split(chunks(archive({ entries: placed, blocks }), 40), {
    groups: [],
    groupOf: () => 'all',
  });
  expect(parts.get('all')!.raw.equals(archive({ entries, blocks }))).toBe(true);
});

test('entries of no group, and their data, are in no archive', async () => {
  const parts = await split(chunks(archive({ entries, blocks }), 33), {
    groups: [],
    groupOf: (entry) => (entry.namespace === 'b' ? 'b' : undefined),
  });
  expect([...parts.keys()]).toEqual(['b']);
  expect(idsOf(parts.get('b'))).toEqual([9001, 9002, 3, 12, 21]);
});

test('large objects go where their entry goes', async () => {
  const objects = { dumpId: 30, desc: 'BLOBS', tag: 'BLOBS', hasData: true };
  const whole = archive({
    entries: [...entries, objects],
    blocks: [...blocks, largeObjects(30, [[4242, 'one']])],
  });
  const parts = await split(chunks(whole, 21));
  expect([...parts].map(([name, contents]) => [name, contents.largeObjects])).toEqual([
    ['empty', 0],
    ['a', 0],
    ['b', 0],
    ['@database', 1],
  ]);
});

test('a group whose data does not lie together is refused by name', async () => {
  const scattered = archive({
    entries,
    blocks: [rows(10, ['1', '2']), rows(12, ['x']), rows(11, [])],
  });
  for (const size of [5, 64, 100_000])
    expect(await refusal(scattered, size)).toMatch(
      /the data of a does not lie together: that of b comes between/,
    );
});

test('an archive that is cut at any place throws, and so does its last part', async () => {
  const whole = archive({ entries, blocks });
  let refused = 0;
  for (let length = 0; length < whole.length; length += 1) {
    await refusal(whole.subarray(0, length));
    refused += 1;
  }
  expect(refused).toBe(whole.length);
});

test('what fails after the last byte fails the last part', async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield archive({ entries, blocks });
    throw new Error('exit status 1');
  }
  const ended: string[] = [];
  const reading = (async () => {
    for await (const { group, body } of splitArchive(failing(), options)) {
      await Array.fromAsync(body);
      ended.push(group);
    }
  })();
  await expect(reading).rejects.toThrow('exit status 1');
  expect(ended).toEqual(['@database', 'empty', 'a']);
});

test('a failure shows in the last part where no group has data', async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield archive({ entries: [standard, table(2, 'a')] });
    throw new Error('exit status 1');
  }
  await expect(split(failing(), { groups: ['a'] })).rejects.toThrow('exit status 1');
});

test('a part that was not read to its end is no reason to go on', async () => {
  const parts = splitArchive(chunks(archive({ entries, blocks }), 64), options);
  await parts.next();
  await expect(parts.next()).rejects.toMatchObject({ code: 'internal' });
});

test('whoever stops early stops what is being read', async () => {
  let stopped = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      yield archive({ entries, blocks });
    } finally {
      stopped = true;
    }
  }
  for await (const part of splitArchive(endless(), options)) {
    expect(part.group).toBe('@database');
    break;
  }
  expect(stopped).toBe(true);
});

test('a table of contents above the limit lies on disk until the end, and comes out the same', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-split-'));
  try {
    const many: EntryToWrite[] = [];
    for (let at = 0; at < 3000; at += 1)
      many.push({ ...table(100 + at, at % 2 ? 'a' : 'b'), definition: String(at).padEnd(1500, 'x') });
    const whole = archive({ entries: [...entries, ...many], blocks });
    const inMemory = await split(chunks(whole, 65_536));
    let asked = 0;
    const scratch = async (): Promise<string> => {
      asked += 1;
      return folder;
    };
    const onDisk = await split(chunks(whole, 65_536), { scratch, tocMemory: 2 ** 20 });
    expect(asked).toBe(1);
    for (const [name, { raw }] of inMemory) expect(onDisk.get(name)!.raw.equals(raw)).toBe(true);
    expect(await readdir(folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.each([11, 17])('format 1.%i is refused by its number', async (minor) => {
  expect(await refusal(archive({ minor, entries }))).toContain(`1.${minor}`);
});
