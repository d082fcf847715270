import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { EntryOwners, splitArchive } from '../src/archive/index.ts';
import { archive, chunks, type EntryToWrite } from './archive-bytes.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
function inUse(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test('a table of contents in memory costs at most 1.5 times its bytes', async () => {
  const schemas = 1200;
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
    scratch: () => Promise.reject(new Error('nothing is to be written')),
  });
  const first = await parts.next();
  expect(whole.length).toBeGreaterThan(10e6);
  expect(held / whole.length).toBeLessThan(1.5);
  expect(held / whole.length).toBeGreaterThan(0.5);
  expect(first.value!.group).toBe('tenant_0');
  await parts.return(undefined);
});
