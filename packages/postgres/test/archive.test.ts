import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  archiveSubset,
  observeArchive,
  readArchive,
  readToc,
  sequenceValue,
  useList,
  type TocEntry,
} from '../src/archive/index.ts';
import { archive, chunks, int, largeObjects, rows } from './archive-bytes.ts';

const copy = 'COPY public.t (a) FROM stdin;\n';
const table = {
  dumpId: 1,
  desc: 'TABLE',
  tag: 'ta"b\nle',
  namespace: 'public',
  definition: 'CREATE TABLE …',
};
const data = {
  dumpId: 2,
  desc: 'TABLE DATA',
  tag: 'ta"b\nle',
  namespace: 'public',
  copyStatement: copy,
  hasData: true,
  dependencies: [1],
};
const objects = { dumpId: 3, desc: 'BLOBS', tag: 'BLOBS', hasData: true };
const good = archive({
  entries: [table, data, objects],
  blocks: [rows(2, ['1\tx', '', 'a\\nb']), largeObjects(3, [[4242, 'one'], [3_000_000_000, 'two']])],
}); // prettier-ignore

async function refusal(bytes: Uint8Array, size = 64): Promise<string> {
  const error: unknown = await readArchive(chunks(bytes, size)).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'source.archive-invalid' });
  return (error as Error).message;
}

test.each([12, 13, 14, 15, 16])('reads format 1.%i, whatever the chunks', async (minor) => {
  const bytes = archive({
    minor,
    entries: [table, data, objects],
    blocks: [rows(2, ['1\tx', '', 'a\\nb']), largeObjects(3, [[7, 'seven']])],
  });
  for (const size of [1, 2, 3, 7, 64, 100_000]) {
    const contents = await readArchive(chunks(bytes, size));
    expect(contents.toc.header).toEqual({
      version: `1.${minor}`, compression: 'none', createdAt: '2026-11-21 03:02:01', databaseName: 'ñandú', serverVersion: '15.18', dumpVersion: '15.18 (x)',
    }); // prettier-ignore
    expect(contents.toc.entries[1]).toEqual({
      dumpId: 1, catalogTableOid: 1259, catalogOid: 16384, tag: 'ta"b\nle', desc: 'TABLE', section: 'data', definition: 'CREATE TABLE …', dropStatement: '',
      copyStatement: '', namespace: 'public', tablespace: undefined, tableAccessMethod: minor >= 14 ? 'heap' : undefined,
      relkind: minor >= 16 ? 'r' : undefined, owner: 'app', dependencies: [], hasData: false,
    }); // prettier-ignore
    expect(contents.data.get(2)).toMatchObject({ rows: 3, bytes: 4 + 1 + 5 + 5, start: 0 });
    expect(contents.data.get(3)).toMatchObject({
      rows: undefined,
      bytes: 5,
      start: contents.data.get(2)!.end,
    });
    expect(bytes.length - contents.data.get(3)!.end).toBe(bytes.indexOf(rows(2, ['1\tx', '', 'a\\nb'])));
    expect(contents.largeObjects).toBe(1);
    expect(contents.bytes).toBe(bytes.length);
  }
});

test('large objects above 2^31 and wide integers are read', async () => {
  expect((await readArchive(chunks(good, 5))).largeObjects).toBe(2);
  const wide = archive({ intSize: 8, entries: [table] });
  expect((await readArchive(chunks(wide, 9))).toc.entryCount).toBe(2);
});

test.each([
  [11, '1.11'],
  [17, '1.17'],
])('format 1.%i is refused by its number', async (minor, shown) => {
  expect(await refusal(archive({ minor, entries: [table] }))).toContain(shown);
});

test('an archive that is cut at any place is refused', async () => {
  let refused = 0;
  for (let length = 0; length < good.length; length += 1) {
    await refusal(good.subarray(0, length), 50);
    refused += 1;
  }
  expect(refused).toBe(good.length);
  expect((await readArchive(chunks(good, 50))).bytes).toBe(good.length);
});

test('bytes after the last block are refused', async () => {
  for (const extra of [0, 1, 2, 3, 255]) await refusal(Buffer.concat([good, Buffer.from([extra])]));
  expect(await refusal(Buffer.concat([good, rows(2, ['1'])]))).toContain('second block');
});

test('data that does not fit its entries is refused', async () => {
  const entries = [table, data];
  expect(await refusal(archive({ entries, blocks: [rows(1, ['1'])] }))).toContain('entry 1, which has none');
  expect(await refusal(archive({ entries, blocks: [rows(77, ['1'])] }))).toContain(
    'entry 77, which has none',
  );
  expect(await refusal(archive({ entries, blocks: [] }))).toContain(
    'data of entry 2 (TABLE DATA) is not there',
  );
  expect(await refusal(archive({ entries, blocks: [largeObjects(2, [])] }))).toContain('block of type 3');
  expect(await refusal(archive({ entries, blocks: [rows(2, ['1'], '')] }))).toContain(
    'do not end with the mark',
  );
  expect(await refusal(archive({ entries, blocks: [rows(2, ['1'], '\\.\n')] }))).toContain(
    'do not end with the mark',
  );
  expect(await refusal(archive({ entries, blocks: [Buffer.from([2]), int(2)] }))).toContain('byte 2');
  expect(
    await refusal(archive({ entries, blocks: [Buffer.concat([Buffer.from([1]), int(2), int(-5)])] })),
  ).toContain('-5 bytes');
});

test('damaged tables of contents are refused without trusting a length', async () => {
  expect(await refusal(Buffer.from('-- PostgreSQL database dump'))).toContain('PGDMP');
  expect(await refusal(archive({ entries: [table, table] }))).toContain('two entries have the number 1');
  const long = Buffer.from(good);
  const at = long.indexOf('15.18') - 4;
  long.set([255, 255, 255, 127], at);
  expect(await refusal(long)).toContain('2147483647 bytes');
  expect(await refusal(archive({ minor: 15, compression: 9, entries: [table] }))).toContain(
    'unknown algorithm',
  );
});

test('rows of a compressed archive are not counted, INSERT statements neither', async () => {
  const compressed = await readArchive(
    chunks(archive({ minor: 16, compression: 1, entries: [data], blocks: [rows(2, ['zzz'])] }), 9),
  );
  expect(compressed.toc.header.compression).toBe('gzip');
  expect(compressed.data.get(2)?.rows).toBeUndefined();
  const inserts = await readArchive(
    chunks(archive({ entries: [{ ...data, copyStatement: '' }], blocks: [rows(2, ['INSERT'], '')] }), 9),
  );
  expect(inserts.data.get(2)).toMatchObject({ rows: undefined, bytes: 7 });
});

test('names are decoded from the encoding of the archive', async () => {
  const latin = await readArchive(
    chunks(archive({ encoding: 'LATIN1', entries: [{ ...table, tag: 'ñandú' }] }), 11),
  );
  expect(latin.toc.entries[1]?.tag).toBe('ñandú');
  expect(latin.toc.header.databaseName).toBe('ñandú');
  const broken = archive({ entries: [{ ...table, tag: 'abcdefgh' }] });
  broken[broken.indexOf('abcdefgh')] = 0xff;
  expect(await refusal(broken)).toContain('not of the encoding UTF8');
});

test('observeArchive hands the same bytes on and knows the contents before their end', async () => {
  let known = false;
  const observed = observeArchive(chunks(good, 64));
  void observed.toc.then(() => (known = true));
  const seen: Uint8Array[] = [];
  let knownAt = -1;
  for await (const chunk of observed.body) {
    seen.push(chunk);
    if (known && knownAt < 0) knownAt = seen.length;
  }
  expect(Buffer.concat(seen).equals(good)).toBe(true);
  expect(knownAt).toBeGreaterThan(0);
  expect(knownAt * 64).toBeLessThan(good.length);
  const toc = await observed.toc;
  expect(toc.entries.map((entry) => entry.desc)).toEqual(['TABLE DATA', 'BLOBS']);
  expect(toc.entryCount).toBe(4);
});

test('counts the rows that go by, wherever their pieces lie in memory', async () => {
  const texts = Array.from(
    { length: 3000 },
    (_, index) => '\u000b\t'.repeat(index % 23) + 'x'.repeat(index % 7),
  );
  const bytes = archive({ entries: [table, data], blocks: [rows(2, texts)] });
  for (const [size, shift] of [
    [bytes.length, 0],
    [bytes.length, 1],
    [4096, 2],
    [1001, 3],
    [7, 1],
  ] as const) {
    const memory = Buffer.alloc(bytes.length + shift);
    bytes.copy(memory, shift);
    const observed = observeArchive(chunks(memory.subarray(shift), size));
    await collect(observed.body);
    expect((await observed.contents).data.get(2)?.rows).toBe(3000);
  }
});

test('observeArchive fails with the body, and body and contents agree', async () => {
  const cut = observeArchive(chunks(good.subarray(0, 100), 64));
  await expect(collect(cut.body)).rejects.toMatchObject({ code: 'source.archive-invalid' });
  await expect(cut.toc).rejects.toMatchObject({ code: 'source.archive-invalid' });

  const failure = new Error('pg_dump died');
  const failing = observeArchive(
    (async function* () {
      yield good.subarray(0, 50);
      throw failure;
    })(),
  );
  await expect(collect(failing.body)).rejects.toBe(failure);
  await expect(failing.toc).rejects.toBe(failure);
});

test('observeArchive refuses an archive that ends within its data, between blocks too', async () => {
  const whole = archive({
    entries: [table, data, objects],
    blocks: [rows(2, ['1\tx']), largeObjects(3, [[4242, 'one']])],
  });
  const blocks = rows(2, ['1\tx']).length + largeObjects(3, [[4242, 'one']]).length;
  for (let cut = 1; cut <= blocks; cut += 1) {
    const observed = observeArchive(chunks(whole.subarray(0, whole.length - cut), 64));
    await expect(collect(observed.body), `${cut} bytes cut away`).rejects.toMatchObject({
      code: 'source.archive-invalid',
    });
    await observed.toc;
    await expect(observed.contents).rejects.toMatchObject({ code: 'source.archive-invalid' });
  }
});

test('observeArchive that is given up closes what it reads from, begun or not', async () => {
  for (const begin of [true, false]) {
    let closed = 0;
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false as const, value: good.subarray(0, 10) }),
        return: () => {
          closed += 1;
          return Promise.resolve({ done: true as const, value: undefined });
        },
      }),
    };
    const observed = observeArchive(source);
    const iterator = observed.body[Symbol.asyncIterator]();
    if (begin) await iterator.next();
    await iterator.return?.();
    expect(closed).toBe(1);
    await expect(observed.toc).rejects.toMatchObject({ code: 'source.archive-invalid' });
  }
});

test('readToc stops reading behind the contents', async () => {
  let read = 0;
  async function* counting(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks(good, 16)) {
      read += chunk.length;
      yield chunk;
    }
  }
  expect((await readToc(counting())).entries).toHaveLength(4);
  expect(read).toBeLessThan(good.length);
});

test('a subset holds the chosen entries and their data alone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-subset-'));
  try {
    const second = { ...data, dumpId: 4, tag: 'other' };
    const whole = archive({
      entries: [table, data, second, objects],
      blocks: [rows(4, ['four']), rows(2, ['1', '2']), largeObjects(3, [[9, 'x']])],
    });
    await writeFile(join(folder, 'whole.dump'), whole);
    const contents = await readArchive(archiveSubset(join(folder, 'whole.dump'), new Set([1, 2])));
    expect(contents.toc.entries.map((entry) => entry.desc)).toEqual(['ENCODING', 'TABLE', 'TABLE DATA']);
    expect([...contents.data.keys()]).toEqual([2]);
    expect(contents.data.get(2)?.rows).toBe(2);
    await writeFile(join(folder, 'cut.dump'), whole.subarray(0, -1));
    await expect(readArchive(archiveSubset(join(folder, 'cut.dump'), new Set([1, 2])))).rejects.toMatchObject(
      { code: 'source.archive-invalid' },
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('values of sequences are read strictly', () => {
  const entry = (definition: string): TocEntry =>
    ({ dumpId: 5, desc: 'SEQUENCE SET', tag: 's', namespace: 'n', definition }) as TocEntry;
  expect(sequenceValue(entry(`SELECT pg_catalog.setval('n.s', -9223372036854775808, true);\n`))).toEqual({
    schema: 'n', name: 's', lastValue: '-9223372036854775808', isCalled: true,
  }); // prettier-ignore
  expect(sequenceValue(entry(`SELECT pg_catalog.setval('n."o''dd\\"', 1, false);\n\n`)).isCalled).toBe(false);
  expect(sequenceValue(entry(`SELECT pg_catalog.setval(E'n."o''dd\\\\"', 1, false);\n\n`)).isCalled).toBe(
    false,
  );
  for (const bad of [
    `SELECT pg_catalog.setval('n.s', 1);`,
    `SELECT setval('n.s', 1, true);`,
    `SELECT pg_catalog.setval('n.s', 1, true); DROP TABLE x;`,
    '',
  ]) {
    expect(() => sequenceValue(entry(bad))).toThrow(/not understood/);
  }
});

test('a use list is one number for each line', () => {
  expect(useList([3, 1])).toBe('3;\n1;\n');
});

async function collect(body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of body);
}
