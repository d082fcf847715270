import type { TocEntry } from '../archive/index.ts';
import type { Fingerprint } from '../fingerprint.ts';

/** The part of a fingerprint that chosen entries of its archive restore; undefined: all of it. */
export function fingerprintOfEntries(
  fingerprint: Fingerprint,
  entries: readonly TocEntry[] | undefined,
): Fingerprint {
  if (!entries) return fingerprint;
  const tables = keysOf(entries, 'TABLE DATA');
  const sequences = keysOf(entries, 'SEQUENCE SET');
  // Leaving out a policy or a user mapping leaves no large object out; choosing tables leaves out all.
  const withObjects = entries.some((entry) => entry.desc === 'BLOB' || entry.desc === 'BLOB METADATA');
  return {
    ...fingerprint,
    tables: fingerprint.tables.filter((table) => tables.has(keyOf(table))),
    sequences: fingerprint.sequences.filter((sequence) => sequences.has(keyOf(sequence))),
    largeObjects: withObjects ? fingerprint.largeObjects : 0,
  };
}

/** A fingerprint without the rows and sequences of these entries. */
export function fingerprintWithout(fingerprint: Fingerprint, entries: readonly TocEntry[]): Fingerprint {
  const tables = keysOf(entries, 'TABLE DATA');
  const sequences = keysOf(entries, 'SEQUENCE SET');
  return {
    ...fingerprint,
    tables: fingerprint.tables.filter((table) => !tables.has(keyOf(table))),
    sequences: fingerprint.sequences.filter((sequence) => !sequences.has(keyOf(sequence))),
  };
}

function keysOf(entries: readonly TocEntry[], desc: string): ReadonlySet<string> {
  const some = entries.filter((entry) => entry.desc === desc);
  return new Set(some.map((entry) => JSON.stringify([entry.namespace, entry.tag])));
}

function keyOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return JSON.stringify([schema, name]);
}
