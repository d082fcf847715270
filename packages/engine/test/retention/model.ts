// What retention promises, written once more: slowly, from the promises, with another calendar than the product's.
import { Temporal } from 'temporal-polyfill';
import type { Candidate } from '../../src/retention/decide.ts';
import type { Keeping, Period, Span } from '../../src/retention/policy.ts';

export interface Question {
  readonly candidates: readonly Candidate[];
  readonly keeping: Keeping | undefined;
  readonly timezone: string;
  readonly now: Date;
  readonly heldUntil?: Date;
}

const label: Readonly<Record<Period, (moment: Temporal.ZonedDateTime) => string>> = {
  // The instant at which this hour of the clock began, so that an hour shown twice is two.
  hourly: (moment) => `${moment.toPlainDateTime().toString().slice(0, 13)} ${moment.offset}`,
  daily: (moment) => moment.toPlainDate().toString(),
  weekly: (moment) => `${moment.yearOfWeek}-W${moment.weekOfYear}`,
  monthly: (moment) => moment.toPlainDate().toPlainYearMonth().toString(),
  yearly: (moment) => String(moment.year),
};

function zoned(time: number, timezone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(time).toZonedDateTimeISO(timezone);
}

/** Every backup that must stay. */
export function mustStay(question: Question): ReadonlySet<string> {
  const { candidates, keeping = {}, timezone, now, heldUntil } = question;
  const find = (backup: string): Candidate | undefined => candidates.find((one) => one.backup === backup);
  const newer = (a: Candidate, b: Candidate): boolean =>
    a.time > b.time || (a.time === b.time && a.backup > b.backup);
  const restorable = (one: Candidate | undefined, path: readonly string[] = []): boolean =>
    one !== undefined &&
    one.status === 'good' &&
    one.requires !== 'unknown' &&
    !path.includes(one.backup) &&
    one.requires.every((other) => restorable(find(other), [...path, one.backup]));
  const ahead = (one: Candidate): boolean => one.time - now.getTime() > 60 * 60 * 1000;
  const sound = candidates.filter((one) => restorable(one) && !ahead(one));
  // What a restore replaced counts for nothing, unless there is nothing else.
  const safety = (one: Candidate): boolean => one.safety && sound.some((other) => !other.safety);
  const counts = sound.filter((one) => !safety(one));
  const rank = (one: Candidate, among: readonly Candidate[]): number =>
    among.filter((other) => newer(other, one)).length;

  const stay = new Set<string>();
  const left = heldUntil !== undefined;
  const over = left && now.getTime() >= heldUntil.getTime();
  const { departed: _, ...rules } = keeping;
  for (const one of candidates) {
    const inPeriod = (period: Period): readonly Candidate[] => {
      const own = label[period](zoned(one.time, timezone));
      return counts.filter((other) => label[period](zoned(other.time, timezone)) === own);
    };
    const keptByPeriod = (period: Period): boolean => {
      if (keeping[period] === undefined || rank(one, inPeriod(period)) > 0) return false;
      const own = label[period](zoned(one.time, timezone));
      const alike = sound.filter((other) => label[period](zoned(other.time, timezone)) === own);
      if (safety(one) && alike.some((other) => safety(other) && newer(other, one))) return false;
      const periodsAfter = new Set(
        counts
          .filter((other) => newer(other, one))
          .map((other) => label[period](zoned(other.time, timezone))),
      );
      return periodsAfter.size < keeping[period];
    };
    const among = safety(one) ? [counts, sound.filter(safety)] : [counts];
    const byRule =
      sound.includes(one) &&
      ((keeping.last !== undefined && among.every((group) => rank(one, group) < keeping.last!)) ||
        (keeping.within !== undefined && one.time >= agoInUtc(now, keeping.within)) ||
        (['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const).some(keptByPeriod));
    const isNewestGood = counts.includes(one) && !counts.some((other) => other.backup > one.backup);
    const isNewestProved =
      counts.includes(one) &&
      one.proved &&
      !counts.some((other) => other.proved && other.backup > one.backup);
    const bestThereIs = !restorable(one) && !counts.some((other) => newer(other, one));
    const alive =
      isNewestGood ||
      isNewestProved ||
      byRule ||
      ahead(one) ||
      bestThereIs ||
      Object.keys(rules).length === 0;
    if (one.pinned || one.status === 'unknown' || (left && !over) || (!over && alive)) stay.add(one.backup);
  }
  for (let size = -1; size !== stay.size;) {
    size = stay.size;
    for (const kept of candidates.filter(({ backup }) => stay.has(backup))) {
      for (const other of candidates) {
        if (kept.requires === 'unknown' ? newer(kept, other) : kept.requires.includes(other.backup))
          stay.add(other.backup);
      }
    }
  }
  return stay;
}

function agoInUtc(now: Date, { count, unit }: Span): number {
  return zoned(now.getTime(), 'UTC').subtract({ [unit]: count }).epochMilliseconds;
}
