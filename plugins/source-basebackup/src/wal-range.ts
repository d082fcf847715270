import { PgsiloError } from '@pgsilo/plugin';

/** A stretch of write-ahead log on one timeline. */
export interface WalRange {
  readonly timeline: number;
  /** Positions as PostgreSQL writes them: `0/3000028`. */
  readonly start: string;
  readonly stop: string;
  /** Size of a segment, in bytes (`wal_segment_size`). */
  readonly segmentBytes: number;
}

/** Names of the segments that hold all of it. Throws a RangeError for what is no position. */
export function* segmentsOf({ timeline, start, stop, segmentBytes }: WalRange): Generator<string> {
  const size = BigInt(segmentBytes);
  const perFile = 0x1_0000_0000n / size;
  // The stop position is the first byte that is not needed.
  const last = (positionOf(stop) - 1n) / size;
  for (let number = positionOf(start) / size; number <= last; number += 1n)
    yield [BigInt(timeline), number / perFile, number % perFile].map(hex).join('');
}

/** Name of the segment behind this one on its timeline; undefined for what is no segment's name. */
export function segmentAfter(name: string, segmentBytes: number): string | undefined {
  const [, timeline, high, low] = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/.exec(name) ?? [];
  if (timeline === undefined) return undefined;
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes);
  const number = BigInt(`0x${high}`) * perFile + BigInt(`0x${low}`) + 1n;
  return timeline + hex(number / perFile) + hex(number % perFile);
}

/** Throws a RangeError for what is no position. */
export function positionOf(lsn: string): bigint {
  const match = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(lsn);
  if (!match) throw new RangeError(`${JSON.stringify(lsn)} is no position in the write-ahead log`);
  return (BigInt(`0x${match[1]}`) << 32n) + BigInt(`0x${match[2]}`);
}

function hex(number: bigint): string {
  return number.toString(16).toUpperCase().padStart(8, '0');
}

/** Those of the segments that are not there, or not whole. */
export function missingSegments(range: WalRange, found: ReadonlyMap<string, number>): readonly string[] {
  return [...segmentsOf(range)].filter((name) => found.get(name) !== range.segmentBytes);
}

/** Throws `source.archive-invalid` unless the segments are among the files, whole. @param files sizes by path in the data directory. */
export function requireLog(range: WalRange, files: ReadonlyMap<string, number>): void {
  const segments = new Map([...segmentsOf(range)].map((name) => [name, files.get(`pg_wal/${name}`) ?? 0]));
  const [first, ...more] = missingSegments(range, segments);
  if (first === undefined) return;
  throw new PgsiloError(
    'source.archive-invalid',
    `the backup lacks ${1 + more.length} segments of the write-ahead log that it cannot do without, the first of them ${first}`,
    { hint: 'Use the copy in another sink, or another backup.' },
  );
}
