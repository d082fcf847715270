/** A stretch of time, for rules that are about age. */
export interface Span {
  readonly count: number;
  readonly unit: 'hours' | 'days' | 'weeks' | 'years';
}

/** Stretches of the calendar of which one backup each is kept. */
export const periods = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type Period = (typeof periods)[number];

/** What is kept of a unit; a backup stays when any of these keeps it. */
export interface Keeping {
  readonly last?: number;
  readonly within?: Span;
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
  readonly departed?: Span;
}

export interface RetentionRule extends Keeping {
  /** Labels that a unit must have. */
  readonly where: Readonly<Record<string, string>>;
}

/** What a sink keeps. */
export interface Retention extends Keeping {
  /** IANA name or offset. */
  readonly timezone: string;
  /** The first that fits holds, in place of the rest. */
  readonly rules: readonly RetentionRule[];
}
