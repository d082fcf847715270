import { zoneOffset } from '../parse-time.ts';
import type { Period, Span } from './policy.ts';

const hour = 3_600_000;
const day = 24 * hour;
const lengths = { hours: hour, days: day, weeks: 7 * day } as const;

/** The moment that lies so long before another. Years are the calendar's; the others have one length, whatever clocks do. */
export function before(moment: Date, span: Span): Date {
  if (span.unit !== 'years') return new Date(moment.getTime() - span.count * lengths[span.unit]);
  const moved = movedByYears(moment, -span.count);
  // A year before 29 February is 28 February: rather a day too long than one too short.
  if (moved.getUTCMonth() !== moment.getUTCMonth()) moved.setUTCDate(0);
  return moved;
}

/** The moment that lies so long after another; a year after 29 February is 1 March. */
export function after(moment: Date, span: Span): Date {
  if (span.unit !== 'years') return new Date(moment.getTime() + span.count * lengths[span.unit]);
  return movedByYears(moment, span.count);
}

function movedByYears(moment: Date, years: number): Date {
  const moved = new Date(moment);
  moved.setUTCFullYear(moment.getUTCFullYear() + years);
  return moved;
}

/**
 * Tells periods apart as people in that zone do: two moments lie in the same one if and only if this is equal.
 * An hour that the clock shows twice is two hours. Weeks begin on Monday, as ISO 8601 has them.
 */
export function periodsAt(moment: number, timezone: string): (period: Period) => string {
  const offset = zoneOffset(moment, timezone);
  const wall = new Date(moment + offset);
  const dayNumber = Math.floor(wall.getTime() / day);
  return (period) => {
    switch (period) {
      case 'hourly':
        return `${Math.floor(wall.getTime() / hour)} ${offset}`;
      case 'daily':
        return String(dayNumber);
      case 'weekly':
        // 1 January 1970 was a Thursday.
        return String(Math.floor((dayNumber + 3) / 7));
      case 'monthly':
        return `${wall.getUTCFullYear()}-${wall.getUTCMonth()}`;
      case 'yearly':
        return String(wall.getUTCFullYear());
    }
  };
}
