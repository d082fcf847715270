import { describe, expect, it } from 'vitest';
import { parseTime } from '../src/parse-time.ts';

describe('parseTime', () => {
  it.each([
    ['2026-11-20 14:30:00Z', undefined, '2026-11-20T14:30:00.000Z'],
    ['2026-11-20T14:30+02:00', undefined, '2026-11-20T12:30:00.000Z'],
    ['2026-11-20 00:15:30.25-0330', undefined, '2026-11-20T03:45:30.250Z'],
    ['2026-11-20', 'Europe/Berlin', '2026-11-19T23:00:00.000Z'],
    ['2026-07-01 12:00', 'America/Sao_Paulo', '2026-07-01T15:00:00.000Z'],
    ['2026-10-25 03:30', 'Europe/Berlin', '2026-10-25T02:30:00.000Z'],
  ])('%s in %s is %s', (text, zone, expected) => {
    expect(parseTime(text, zone).toISOString()).toBe(expected);
  });

  it.each([
    ['2026-11-20 14:30:00', undefined, /no time zone/],
    ['2026-02-30 14:30Z', undefined, /exists/],
    ['2026-11-20 25:00Z', undefined, /exists/],
    ['yesterday', 'Europe/Berlin', /is no time/],
    ['2026-10-25 02:30', 'Europe/Berlin', /twice/],
    ['2026-03-29 02:30', 'Europe/Berlin', /never/],
  ])('refuses %s in %s', (text, zone, message) => {
    expect(() => parseTime(text, zone)).toThrow(message);
  });
});
