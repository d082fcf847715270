import { extract, pack } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { bodyOf, collect, inOddChunks } from '@pgsilo/testkit';
import { cutArtifacts } from '../src/artifacts.ts';
import type { BackupStreamItem } from '../src/base-backup.ts';
import { placeOf } from '../src/layout.ts';
import { requireLog, segmentsOf } from '../src/wal-range.ts';

interface File {
  readonly name: string;
  readonly type?: 'directory' | 'symlink';
  readonly size?: number;
}

/** A tar as the server sends it; files hold their own names, over and over. */
async function tarOf(files: readonly File[]): Promise<Buffer> {
  const tar = pack();
  for (const { name, type, size = 0 } of files)
    if (type) tar.entry({ name, type, ...(type === 'symlink' ? { linkname: '/elsewhere' } : {}) });
    else tar.entry({ name }, contentOf(name, size));
  tar.finalize();
  return Buffer.from(await collect(tar as AsyncIterable<Uint8Array>));
}

function contentOf(name: string, size: number): Buffer {
  return Buffer.alloc(size, name);
}

/** Names and contents in a tar. */
async function filesIn(bytes: Uint8Array): Promise<Record<string, string>> {
  const tar = extract();
  const found: Record<string, string> = {};
  tar.end(bytes);
  for await (const entry of tar)
    found[entry.header.name] = Buffer.from(await collect(entry as AsyncIterable<Uint8Array>)).toString();
  return found;
}

async function* stream(
  archives: readonly { readonly tablespace?: string; readonly bytes: Uint8Array }[],
): AsyncGenerator<BackupStreamItem> {
  for (const { tablespace, bytes } of archives) {
    yield { type: 'archive', tablespace };
    for await (const chunk of inOddChunks(bodyOf(bytes))) yield { type: 'data', bytes: chunk };
  }
  yield { type: 'manifest' };
  yield { type: 'data', bytes: Buffer.from('{') };
  yield { type: 'data', bytes: Buffer.from('}') };
}

async function cut(items: AsyncIterable<BackupStreamItem>): Promise<[string, Uint8Array][]> {
  const artifacts: [string, Uint8Array][] = [];
  for await (const { name, body } of cutArtifacts(items, () => undefined))
    artifacts.push([name, await collect(body)]);
  return artifacts;
}

const base: readonly File[] = [
  { name: 'backup_label', size: 225 },
  { name: 'base/', type: 'directory' },
  { name: 'base/1/', type: 'directory' },
  { name: 'base/1/112', size: 200_000 },
  { name: 'base/1/PG_VERSION', size: 3 },
  { name: 'base/16384/', type: 'directory' },
  { name: 'base/16384/2619', size: 8192 },
  { name: 'base/16384/empty', size: 0 },
  { name: 'base/pgsql_tmp/', type: 'directory' },
  { name: 'pg_tblspc/16400', type: 'symlink' },
  { name: 'pg_tblspc/16401/PG_15_202209061/16384/1', size: 512 },
  { name: 'base/16384.conf', size: 10 },
  { name: 'pg_wal/', type: 'directory' },
  { name: 'global/pg_control', size: 8192 },
  { name: 'pg_wal/000000010000000000000002', size: 1024 },
  { name: './pg_wal/archive_status/000000010000000000000002.done', size: 0 },
];
const tablespace: readonly File[] = [
  { name: 'PG_15_202209061/', type: 'directory' },
  { name: 'PG_15_202209061/16384/', type: 'directory' },
  { name: 'PG_15_202209061/16384/16402', size: 70_001 },
  { name: 'PG_15_202209061/16385/16402', size: 1 },
];

describe('cutting', () => {
  test('gives each database its own, numbers what all share, and loses nothing, however the bytes come', async () => {
    const artifacts = await cut(
      stream([{ tablespace: '16400', bytes: await tarOf(tablespace) }, { bytes: await tarOf(base) }]),
    );
    const names = artifacts.map(([name]) => name);
    expect(names).toEqual([
      'tablespace-16400.0001.tar',
      'database-16384-tablespace-16400.tar',
      'database-16385-tablespace-16400.tar',
      'base.0001.tar',
      'database-1.tar',
      'database-16384.tar',
      'base.0002.tar',
      'database-16384-tablespace-16401.tar',
      'base.0003.tar',
      'wal.tar',
      'backup-manifest.json',
    ]);
    const found: Record<string, string> = {};
    const misplaced: string[] = [];
    for (const [name, bytes] of artifacts.filter((one) => one[0].endsWith('.tar'))) {
      for (const [path, content] of Object.entries(await filesIn(bytes))) {
        const database = /(?:base|PG_15_\d+)\/(\d+)(?:\/|$)/.exec(path)?.[1];
        if (path in found || placeOf(name)!.database !== database) misplaced.push(`${path} in ${name}`);
        found[path] = content;
      }
    }
    expect(misplaced).toEqual([]);
    for (const { name, type, size = 0 } of [...base, ...tablespace])
      expect(found[name]).toBe(type ? '' : contentOf(name, size).toString());
    expect(Buffer.from(artifacts.at(-1)![1]).toString()).toBe('{}');
  });

  test.each([
    ['without its end', (tar: Buffer) => tar.subarray(0, -1024), /without its end/],
    ['cut in a file', (tar: Buffer) => tar.subarray(0, 100_000), /without its end/],
    ['cut in a header', (tar: Buffer) => tar.subarray(0, 700), /without its end/],
    ['with something behind its end', (tar: Buffer) => Buffer.concat([tar, tar]), /behind its end/],
    ['with an altered header', (tar: Buffer) => (tar.writeUInt8(tar[3]! ^ 1, 3), tar), /header/],
  ])('of a tar %s throws', async (_how, change, message) => {
    const bytes = change(await tarOf(base));
    await expect(cut(stream([{ bytes }]))).rejects.toMatchObject({
      code: 'source.incomplete',
      message: expect.stringMatching(message),
    });
  });

  test('ends no body well when the stream breaks in it', async () => {
    const bytes = await tarOf(base);
    const whole: string[] = [];
    const broken = (async function* (): AsyncGenerator<BackupStreamItem> {
      yield { type: 'archive', tablespace: undefined };
      yield { type: 'data', bytes: bytes.subarray(0, 150_000) };
      throw new Error('gone');
    })();
    const read = async (): Promise<void> => {
      for await (const { name, body } of cutArtifacts(broken, () => undefined)) {
        await collect(body);
        whole.push(name);
      }
    };
    await expect(read()).rejects.toThrow('gone');
    expect(whole).toEqual(['base.0001.tar']);
  });
});

describe('names of artifacts', () => {
  test.each([
    ['base.0001.tar', { base: true }],
    ['wal.tar', { base: false }],
    ['database-5.tar', { base: false, database: '5' }],
    ['database-5.0002.tar', { base: false, database: '5' }],
    ['tablespace-9.0001.tar', { base: false, tablespace: '9' }],
    ['database-5-tablespace-9.tar', { base: false, database: '5', tablespace: '9' }],
    ['server-files.tar', undefined],
    ['cluster.json', undefined],
    ['.tar', undefined],
  ])('%s', (name, place) => {
    expect(placeOf(name)).toEqual(place);
  });
});

describe('segments of write-ahead log', () => {
  const segmentBytes = 16 * 2 ** 20;
  test.each([
    ['0/2000028', '0/2000100', ['000000030000000000000002']],
    // The stop is the first byte that is not needed.
    ['0/2000028', '0/3000000', ['000000030000000000000002']],
    ['0/2000028', '0/3000001', ['000000030000000000000002', '000000030000000000000003']],
    [
      '1/FE000028',
      '2/1000001',
      [
        '0000000300000001000000FE',
        '0000000300000001000000FF',
        '000000030000000200000000',
        '000000030000000200000001',
      ],
    ],
  ])('from %s to %s', (start, stop, names) => {
    expect([...segmentsOf({ timeline: 3, start, stop, segmentBytes })]).toEqual(names);
  });

  test('must all be there, and whole', () => {
    const range = { timeline: 1, start: '0/2000028', stop: '0/4000100', segmentBytes };
    const files = [2, 3, 4].map((n): [string, number] => [
      `pg_wal/00000001000000000000000${n}`,
      segmentBytes,
    ]);
    expect(() => requireLog(range, new Map(files))).not.toThrow();
    for (const at of [0, 1, 2]) {
      expect(() => requireLog(range, new Map(files.toSpliced(at, 1)))).toThrow(
        /lacks 1 segments .*000000000000000/,
      );
      expect(() => requireLog(range, new Map(files.with(at, [files[at]![0], 4096])))).toThrow(
        /lacks 1 segments/,
      );
    }
  });

  test('of 1 GB, of which each file has four', () => {
    const range = { timeline: 1, start: '1/C0000000', stop: '2/1', segmentBytes: 2 ** 30 };
    expect([...segmentsOf(range)]).toEqual(['000000010000000100000003', '000000010000000200000000']);
  });
});
