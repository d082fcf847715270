import { describe, expect, it } from 'vitest';
import { isExpired } from '../src/wal-expiry.ts';
import { walFiles } from '../src/wal-files.ts';

const hex = (number: number): string => number.toString(16).toUpperCase().padStart(8, '0');
/** Of 256 segments in each "file" of the log, as with segments of 16 MB. */
const segment = (timeline: number, number: number): string =>
  [timeline, Math.floor(number / 256), number % 256].map(hex).join('');

/** Numbers as by chance, the same each time. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface Timeline {
  readonly parent: number;
  /** Segment in which it began. */
  readonly from: number;
  readonly to: number;
}

/** What PostgreSQL may ask for when it recovers a backup into any timeline that it can reach. */
function* askedFor(history: ReadonlyMap<number, Timeline>, on: number, first: number): Generator<string> {
  for (const target of history.keys()) {
    const way: number[] = [];
    for (let at = target; at > 0; at = history.get(at)!.parent) way.unshift(at);
    const start = way.indexOf(on);
    if (start < 0) continue;
    const left = way[start + 1];
    // The target branched off before the backup began.
    if (left !== undefined && history.get(left)!.from < first) continue;
    for (const timeline of way.slice(start)) {
      const { from, to } = history.get(timeline)!;
      for (let at = Math.max(from, first); at <= to; at++) {
        yield segment(timeline, at);
        yield `${segment(timeline, at)}.partial`;
      }
      yield `${hex(timeline)}.history`;
    }
  }
}

describe('expiry of write-ahead log', () => {
  it('is never of a file that recovery of a kept backup can ask for', () => {
    let expired = 0;
    for (let seed = 1; seed <= 400; seed++) {
      const next = chance(seed);
      const history = new Map<number, Timeline>([[1, { parent: 0, from: 1, to: 500 + next(100) }]]);
      for (let timeline = 2; timeline <= 1 + next(6); timeline++) {
        const parent = 1 + next(timeline - 1);
        const { from, to } = history.get(parent)!;
        const begins = from + next(to - from + 1);
        history.set(timeline, { parent, from: begins, to: begins + next(300) });
      }
      const kept = Array.from({ length: 1 + next(4) }, () => {
        const on = 1 + next(history.size);
        const { from, to } = history.get(on)!;
        return { on, first: from + next(to - from + 1) };
      });
      const firsts = kept.map(({ on, first }) => segment(on, first));
      const needed = new Set(kept.flatMap(({ on, first }) => [...askedFor(history, on, first)]));
      const wrong = [...needed].filter((name) => isExpired(name, firsts));
      expect({ seed, wrong }).toEqual({ seed, wrong: [] });
      for (const [timeline, { from, to }] of history)
        for (let at = from; at <= to; at++) expired += isExpired(segment(timeline, at), firsts) ? 1 : 0;
    }
    expect(expired).toBeGreaterThan(10_000);
  });

  it('is of what lies before the first segment, and of timelines before that of every backup', () => {
    const firsts = [segment(2, 300), segment(3, 280)];
    const names = (timeline: number, number: number): readonly string[] => [
      segment(timeline, number),
      `${segment(timeline, number)}.partial`,
      `${segment(timeline, number)}.00000028.backup`,
    ];
    const of = (given: readonly string[]): readonly boolean[] => given.map((name) => isExpired(name, firsts));
    expect(of(names(2, 299))).toEqual([true, true, true]);
    expect(of(names(2, 300))).toEqual([false, false, false]);
    expect(of(names(3, 279))).toEqual([true, true, true]);
    expect(of(names(3, 280))).toEqual([false, false, false]);
    expect(of(names(1, 9999))).toEqual([true, true, true]);
    expect(of(names(4, 1))).toEqual([false, false, false]);
    expect(of(['00000001.history', '00000002.history', '00000003.history', '00000004.history'])).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(isExpired(segment(1, 1), [])).toBe(false);
    expect(isExpired('core', firsts)).toBe(false);
  });

  it('goes by what the manifest says, and by nothing where that is no segment', () => {
    expect(walFiles.firstNeeded!({ startSegment: segment(1, 5) })).toBe(segment(1, 5));
    for (const startSegment of ['', '0/3000028', `${segment(1, 5)}.partial`, 5, null])
      expect(walFiles.firstNeeded!({ startSegment })).toBeUndefined();
    expect(walFiles.firstNeeded!({ startLsn: '0/3000028' })).toBeUndefined();
  });
});
