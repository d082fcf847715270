import { describe, expect, it } from 'vitest';
import {
  fitWidth,
  formatAgo,
  formatBytes,
  formatCount,
  formatNumber,
  formatDuration,
  formatElapsed,
  formatTime,
} from '../src/terminal/format.ts';

describe('figures for people', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [99_940, '99.9 kB'],
    [99_960, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [1.25e12, '1.3 TB'],
    [4e18, '4000 PB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [999.6, '1.0 s'],
    [9940, '9.9 s'],
    [9960, '10 s'],
    [59_499, '59 s'],
    [59_500, '1 min'],
    [83_000, '1 min 23 s'],
    [3_599_600, '1 h'],
    [7_500_000, '2 h 5 min'],
    [86_399_000, '1 d'],
    [273_600_000, '3 d 4 h'],
  ])('%d ms are %s', (milliseconds, text) => expect(formatDuration(milliseconds)).toBe(text));

  it.each([
    [0, '0:00'],
    [59_999, '0:59'],
    [760_000, '12:40'],
    [3_723_000, '1:02:03'],
  ])('%d ms have elapsed as %s', (milliseconds, text) => expect(formatElapsed(milliseconds)).toBe(text));

  const now = new Date('2026-11-21T12:00:00Z');
  it.each([
    ['2026-11-21T11:59:55Z', 'just now'],
    ['2026-11-21T11:59:10Z', '50 s ago'],
    ['2026-11-21T11:00:01Z', '59 min ago'],
    ['2026-11-21T09:00:00Z', '3 h ago'],
    ['2026-11-19T12:00:01Z', '47 h ago'],
    ['2026-11-19T12:00:00Z', '2 d ago'],
    ['2026-11-21T14:00:00Z', 'in 2 h'],
  ])('%s is %s', (time, text) => expect(formatAgo(time, now)).toBe(text));

  it('writes times so that they can be pasted', () => {
    expect(formatTime('2026-11-21T02:00:00.123Z')).toBe('2026-11-21T02:00:00Z');
    expect(formatCount(1204, 'unit')).toBe('1,204 units');
    expect(formatCount(1, 'unit')).toBe('1 unit');
    for (const count of [0, 999, 1000, 12_345, 999_999, 1_000_000, 1_234_567_890])
      expect(formatNumber(count)).toBe(count.toLocaleString('en-US'));
  });

  it('fits names by terminal columns, not by characters', () => {
    expect(fitWidth('株式会社', 5)).toBe('株式…');
    expect(fitWidth('株式', 6, true)).toBe('株式  ');
    expect(fitWidth('acme', 4)).toBe('acme');
    expect(fitWidth('acme', 0)).toBe('');
  });
});
