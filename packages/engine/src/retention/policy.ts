/** A stretch of time, for rules that are about age. */
export interface Span {
  readonly count: number;
  readonly unit: 'hours' | 'days' | 'weeks' | 'years';
}

/** Rules that keep one backup for each of the newest so many periods that have one. */
export const periods = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type Period = (typeof periods)[number];

/** What is kept of a unit; a backup stays when any of these keeps it. */
export type Keeping = {
  /** The newest so many. */
  readonly last?: number;
  /** Everything younger. */
  readonly within?: Span;
  /** Backups of a unit that is no longer in the registry, counted from its newest. Without it such a unit is like any other. */
  readonly departed?: Span;
} & { readonly [name in Period]?: number };

/** Keeping for the units that have all these labels, in place of the general one. */
export interface LabelRule extends Keeping {
  readonly where: Readonly<Record<string, string>>;
}

/** What a sink keeps. */
export interface Retention extends Keeping {
  /** Where days, weeks, months and years begin: an IANA name or an offset. */
  readonly timezone: string;
  /** The first that fits holds. */
  readonly rules: readonly LabelRule[];
}

/**
 * What holds for a unit with these labels; undefined when nothing was said about it, and then all of it is kept.
 * `departed` of the general part holds for every rule that has none of its own.
 */
export function keepingOf(
  retention: Retention,
  labels: Readonly<Record<string, string>>,
): Keeping | undefined {
  const rule = retention.rules.find(({ where }) =>
    Object.entries(where).every(([label, value]) => Object.hasOwn(labels, label) && labels[label] === value),
  );
  const chosen: Keeping = rule ?? retention;
  const departed = chosen.departed ?? retention.departed;
  if (saysSomething(chosen)) return departed ? { ...chosen, departed } : chosen;
  return departed ? { departed } : undefined;
}

/** Whether any rule but `departed` is given. */
export function saysSomething(keeping: Keeping): boolean {
  return (
    keeping.last !== undefined ||
    keeping.within !== undefined ||
    periods.some((period) => keeping[period] !== undefined)
  );
}
