import type { PipelineSink } from '@pgsilo/engine';

type Retention = NonNullable<PipelineSink['retention']>;
type Span = NonNullable<Retention['within']>;

const daysOfUnit: Readonly<Record<Span['unit'], number>> = { hours: 1 / 24, days: 1, weeks: 7, years: 365 };

/** How many days retention keeps a backup at most, as far as it says so in time; undefined when it does not. */
export function keptDays(retention: Retention | undefined): number | undefined {
  if (retention === undefined) return undefined;
  const days = [retention, ...retention.rules].flatMap(
    ({ within, hourly, daily, weekly, monthly, yearly }) => [
      within === undefined ? 0 : within.count * daysOfUnit[within.unit],
      (hourly ?? 0) * daysOfUnit.hours,
      daily ?? 0,
      (weekly ?? 0) * daysOfUnit.weeks,
      (monthly ?? 0) * 30,
      (yearly ?? 0) * daysOfUnit.years,
    ],
  );
  const most = Math.ceil(Math.max(...days));
  return most === 0 ? undefined : most;
}
