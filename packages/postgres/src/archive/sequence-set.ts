import { invalidArchive } from './invalid.ts';
import type { TocEntry } from './toc.ts';

export interface SequenceValue {
  readonly schema: string;
  readonly name: string;
  /** An integer of 64 bits, as text. */
  readonly lastValue: string;
  readonly isCalled: boolean;
}

/** The name as a literal, with `E` and doubled backslashes where `standard_conforming_strings` was off, then value and flag. */
const setval =
  /^SELECT pg_catalog\.setval\((?:'(?:[^']|'')+'|E'(?:[^'\\]|''|\\\\)+'), (-?\d{1,20}), (true|false)\);\s*$/;

/** The value that a SEQUENCE SET entry gives its sequence. Sequences do not take part in snapshots: this is the only value that belongs to the archive. */
export function sequenceValue(entry: TocEntry): SequenceValue {
  const match = setval.exec(entry.definition);
  if (!match || entry.namespace === undefined) {
    throw invalidArchive(`entry ${entry.dumpId} (SEQUENCE SET ${entry.tag}) is not understood`);
  }
  return { schema: entry.namespace, name: entry.tag, lastValue: match[1]!, isCalled: match[2] === 'true' };
}

/** OIDs of the large objects that an entry creates: one for BLOB (up to 1.15), many for BLOB METADATA, none for others. */
export function largeObjectsOf(entry: TocEntry): readonly string[] {
  if (entry.desc === 'BLOB') return [entry.tag];
  if (entry.desc === 'BLOB METADATA') return entry.definition.split('\n').filter((line) => line !== '');
  return [];
}
