import { PgsiloError } from '@pgsilo/plugin';

const form =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?)?\s?(Z|[+-]\d\d:?\d\d)?$/;

/**
 * A moment as people write it: `2026-11-20 14:30:00Z`, `2026-11-20T14:30+02:00`, and, where the pipeline has a time zone, without one.
 * Throws `usage.invalid` for anything that could be understood in two ways.
 */
export function parseTime(text: string, timezone: string | undefined): Date {
  const match = form.exec(text.trim());
  if (!match) throw invalid(text, 'is no time', 'Write it like "2026-11-20 14:30:00Z".');
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '0', zone] = match;
  const utc = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, '0')}Z`);
  // Date.parse refuses hour 25 but takes February 30 for March 2.
  if (Number.isNaN(utc) || new Date(utc).getUTCDate() !== Number(day))
    throw invalid(text, 'is no time that exists', 'Look at its numbers.');
  if (zone) return new Date(utc - offsetOf(zone));
  if (!timezone)
    throw invalid(text, 'has no time zone', 'Add Z or +02:00, or set `timezone:` in the pipeline file.');
  return fromZone(text, utc, timezone);
}

function offsetOf(zone: string): number {
  if (zone === 'Z') return 0;
  const sign = zone.startsWith('-') ? -1 : 1;
  return sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2))) * 60_000;
}

/** The moment at which a clock on the wall in that zone shows this; refused where it shows it twice or never (clock changes). */
function fromZone(text: string, wall: number, timezone: string): Date {
  const day = 86_400_000;
  const offsets = new Set([wall - day, wall + day].map((moment) => zoneOffset(moment, timezone)));
  const moments = [...offsets]
    .map((offset) => wall - offset)
    .filter((moment) => moment + zoneOffset(moment, timezone) === wall);
  if (moments.length !== 1)
    throw invalid(
      text,
      `is ${moments.length === 0 ? 'never' : 'twice'} shown by a clock in ${timezone}`,
      'Add Z or +02:00.',
    );
  return new Date(moments[0] as number);
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Milliseconds by which a clock on the wall in that zone is ahead of UTC at a moment. */
export function zoneOffset(moment: number, timezone: string): number {
  if (timezone === 'UTC') return 0;
  let format = formats.get(timezone);
  // Making one costs a thousand times as much as using it.
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: timezone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timezone, format);
  }
  const part = Object.fromEntries(
    format.formatToParts(moment).map(({ type, value }) => [type, Number(value)]),
  );
  const wall = Date.UTC(
    part['year']!,
    part['month']! - 1,
    part['day'],
    part['hour'],
    part['minute'],
    part['second'],
  );
  return wall - Math.floor(moment / 1000) * 1000;
}

function invalid(text: string, what: string, hint: string): PgsiloError {
  return new PgsiloError('usage.invalid', `${JSON.stringify(text)} ${what}`, { hint });
}
