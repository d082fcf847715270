import type { ArchiveContents } from './archive/index.ts';
import { largeObjectsOf, sequenceValue } from './archive/index.ts';
import type { Fingerprint } from './fingerprint.ts';
import { plural } from './plural.ts';
import { showName } from './quoting.ts';

/** What archive and fingerprint say differently, as sentences. */
export function compareContents(contents: ArchiveContents, fingerprint: Fingerprint): readonly string[] {
  const differences: string[] = [];
  const tables = new Map(fingerprint.tables.map((table) => [key(table), table]));
  const sequences = new Map(fingerprint.sequences.map((sequence) => [key(sequence), sequence]));
  let objects = 0;
  for (const entry of contents.toc.entries) {
    const object = { schema: entry.namespace ?? '', name: entry.tag };
    if (entry.desc === 'TABLE DATA') {
      const table = tables.get(key(object));
      tables.delete(key(object));
      const rows = contents.data.get(entry.dumpId)?.rows;
      if (!table) differences.push(`table ${display(object)} is not in the fingerprint`);
      else if (rows === undefined)
        differences.push(`rows of table ${display(object)} cannot be counted (${uncountable(contents)})`);
      else if (BigInt(table.rows) !== BigInt(rows))
        differences.push(
          `table ${display(object)} has ${plural(BigInt(rows), 'row')} in the archive and ${table.rows} in the fingerprint`,
        );
    } else if (entry.desc === 'SEQUENCE SET') {
      const value = sequenceValue(entry);
      const sequence = sequences.get(key(value));
      sequences.delete(key(value));
      if (!sequence || sequence.lastValue !== value.lastValue || sequence.isCalled !== value.isCalled) {
        differences.push(
          `sequence ${display(value)} is at ${value.lastValue} in the archive and not so in the fingerprint`,
        );
      }
    } else objects += largeObjectsOf(entry).length;
  }
  for (const table of tables.values()) differences.push(`table ${display(table)} is not in the archive`);
  for (const sequence of sequences.values())
    differences.push(`sequence ${display(sequence)} is not in the archive`);
  if (objects !== fingerprint.largeObjects)
    differences.push(
      `${plural(objects, 'large object')} in the archive and ${fingerprint.largeObjects} in the fingerprint`,
    );
  if (objects !== contents.largeObjects)
    differences.push(`${plural(objects, 'large object')} and the contents of ${contents.largeObjects}`);
  return differences;
}

function uncountable(contents: ArchiveContents): string {
  const { compression } = contents.toc.header;
  return compression === 'none'
    ? 'they are INSERT statements'
    : `the archive is compressed with ${compression}`;
}

function key(object: { readonly schema: string; readonly name: string }): string {
  return `${object.schema}\0${object.name}`;
}

function display(object: { readonly schema: string; readonly name: string }): string {
  return `${showName(object.schema)}.${showName(object.name)}`;
}
