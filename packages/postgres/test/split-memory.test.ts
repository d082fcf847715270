import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EntryOwners, splitArchive } from '../src/archive/index.ts';
import { archive, chunks, type EntryToWrite } from './archive-bytes.ts';

let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'pgsilo-split-')), '/');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
function inUse(): number {
  // Memory of buffers is given back behind a collection's back; the next one waits for that.
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

// What is above 64 MB goes to disk: of ten thousand schemas of eight tables the half.
test.each([
  [1200, 0],
  [10_000, 64e6],
])(
  '%i schemas cost at most 1.5 times the bytes of their table of contents',
  { timeout: 300_000 },
  async (schemas, spilled) => {
    // By kind and then by schema, as pg_dump orders them: what one schema has of a kind lies together.
    const kinds = ['TABLE', 'SEQUENCE', 'DEFAULT', 'TABLE DATA', 'SEQUENCE SET', 'CONSTRAINT', 'INDEX'];
    const entries: EntryToWrite[] = [];
    for (const desc of kinds)
      for (let schema = 0; schema < schemas; schema += 1)
        for (let table = 0; table < 8; table += 1) {
          const tag = `table_${table}`;
          const namespace = `tenant_${schema}`;
          const definition = desc === 'TABLE DATA' ? '' : `${desc} ${namespace}.${tag} `.padEnd(120, 'x');
          entries.push({ dumpId: entries.length + 10_000, desc, tag, namespace, definition });
        }
    const whole = archive({ entries });
    let left = entries.length;
    entries.length = 0;
    const owners = new EntryOwners(new Map());
    let held = 0;
    const before = inUse();
    const parts = splitArchive(chunks(whole, 65_536), {
      groups: [],
      groupOf: (entry) => {
        left -= 1;
        // With the last entry everything is in memory, what the parser keeps until then too.
        if (left === 0) held = inUse() - before;
        return owners.ownerOf(entry);
      },
      scratch: () =>
        spilled === 0 ? Promise.reject(new Error('nothing is to be written')) : mkdtemp(folder),
    });
    const first = await parts.next();
    expect(whole.length).toBeGreaterThan(10e6);
    expect(held / whole.length).toBeLessThan(1.5);
    expect(held / whole.length).toBeGreaterThan(0.5);
    expect(first.value!.group).toBe('tenant_0');
    expect(await bytesIn(folder)).toBeGreaterThanOrEqual(spilled);
    await parts.return(undefined);
  },
);

async function bytesIn(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(join(file.parentPath, file.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
