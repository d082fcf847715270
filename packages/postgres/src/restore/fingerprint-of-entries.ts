import type { TocEntry } from '../archive/index.ts';
import type { Fingerprint } from '../fingerprint.ts';

/** The part of a fingerprint that chosen entries of its archive restore; undefined: all of it. */
export function fingerprintOfEntries(
  fingerprint: Fingerprint,
  entries: readonly TocEntry[] | undefined,
): Fingerprint {
  if (!entries) return fingerprint;
  const keys = (desc: string): ReadonlySet<string> =>
    new Set(
      entries
        .filter((entry) => entry.desc === desc)
        .map((entry) => JSON.stringify([entry.namespace, entry.tag])),
    );
  const tables = keys('TABLE DATA');
  const sequences = keys('SEQUENCE SET');
  const key = (each: { readonly schema: string; readonly name: string }): string =>
    JSON.stringify([each.schema, each.name]);
  // Leaving out a policy or a user mapping leaves no large object out; choosing tables leaves out all.
  const withObjects = entries.some((entry) => entry.desc === 'BLOB' || entry.desc === 'BLOB METADATA');
  return {
    ...fingerprint,
    tables: fingerprint.tables.filter((table) => tables.has(key(table))),
    sequences: fingerprint.sequences.filter((sequence) => sequences.has(key(sequence))),
    largeObjects: withObjects ? fingerprint.largeObjects : 0,
  };
}
