import { describe, expect, it } from 'vitest';
import { walSegments } from '../src/wal-segments.ts';

const mega = 2 ** 20;

describe('segments of the write-ahead log', () => {
  it('are numbered on across the files of 4 GB, for each size that there is', () => {
    for (let size = mega; size <= 1024 * mega; size *= 2) {
      const perFile = 2 ** 32 / size;
      for (const number of [0, 1, perFile - 1, perFile, perFile * 7 + 3, perFile * 2 ** 20]) {
        const name = walSegments.nameOf('00000002', number, size);
        expect(name).toMatch(/^00000002[0-9A-F]{16}$/);
        expect(walSegments.numberOf(name, size)).toBe(number);
      }
    }
    expect(walSegments.nameOf('00000001', 255, 16 * mega)).toBe('0000000100000000000000FF');
    expect(walSegments.nameOf('00000001', 256, 16 * mega)).toBe('000000010000000100000000');
    expect(walSegments.numberOf('000000010000000000000100', 16 * mega)).toBeUndefined();
    for (const other of [
      '00000002.history',
      '00000001000000000000000A.partial',
      '00000001000000000000000A.00000028.backup',
    ])
      expect(walSegments.numberOf(other, 16 * mega)).toBeUndefined();
  });

  it('have the size that a backup says, or that follows of where it began', () => {
    expect(walSegments.bytesOf({ segmentBytes: 64 * mega })).toBe(64 * mega);
    expect(walSegments.bytesOf({ segmentBytes: 5 })).toBeUndefined();
    for (let size = mega; size <= 1024 * mega; size *= 2)
      for (let low = 1; low < 2 ** 32 / size; low += Math.max(1, 2 ** 27 / size))
        for (const offset of [40, size - 8]) {
          const startLsn = `7/${(low * size + offset).toString(16).toUpperCase()}`;
          const startSegment = walSegments.nameOf('00000001', (7 * 2 ** 32) / size + low, size);
          expect(walSegments.bytesOf({ startLsn, startSegment })).toBe(size);
        }
    expect(
      walSegments.bytesOf({ startLsn: '7/28', startSegment: '000000010000000700000000' }),
    ).toBeUndefined();
    expect(walSegments.bytesOf({})).toBeUndefined();
  });

  it('are needed behind a backup along the newest timeline that came of its own', () => {
    const size = 16 * mega;
    const backup = { timeline: 1, stopLsn: '0/5000100' };
    const way = (histories: Record<string, string>, about = backup): unknown =>
      walSegments.way(about, size, new Map(Object.entries(histories)));
    expect(way({})).toEqual([{ timeline: '00000001', from: 6 }]);
    // At the very boundary the segment before it was the last one.
    expect(way({}, { timeline: 1, stopLsn: '0/5000000' })).toEqual([{ timeline: '00000001', from: 5 }]);
    const two = '1\t0/9000028\tno recovery target specified\n';
    expect(way({ '00000002': two })).toEqual([
      { timeline: '00000001', from: 6, to: 8 },
      { timeline: '00000002', from: 9 },
    ]);
    expect(
      way({ '00000002': two, '00000003': `${two}\n2\t0/C000028\tno recovery target specified\n` }),
    ).toEqual([
      { timeline: '00000001', from: 6, to: 8 },
      { timeline: '00000002', from: 9, to: 11 },
      { timeline: '00000003', from: 12 },
    ]);
    // Left before the backup ended: recovery would not get there. And none is looked for behind one that is missing.
    expect(way({ '00000002': '1\t0/5000028\tearly\n' })).toEqual([{ timeline: '00000001', from: 6 }]);
    expect(way({ '00000003': two })).toEqual([{ timeline: '00000001', from: 6 }]);
    // The segment in which the backup ended is the one in which the timeline ended, too.
    expect(way({ '00000002': '1\t0/5000200\tsoon\n' })).toEqual([
      { timeline: '00000001', from: 6, to: 4 },
      { timeline: '00000002', from: 6 },
    ]);
    expect(way({}, { timeline: 1, stopLsn: 'nowhere' })).toBeUndefined();
  });
});
