import { z } from 'zod';
import type { Retention, RetentionRule, Span } from './retention.ts';

const spanUnits = { h: 'hours', d: 'days', w: 'weeks', y: 'years' } as const;
const spanForm = /^([1-9]\d{0,3})(h|d|w|y)$/;

function span(description: string, example: string): z.ZodOptional<z.ZodType<Span, string>> {
  return z
    .string()
    .regex(spanForm, 'expected a time such as 12h, 30d, 8w or 2y')
    .transform((text): Span => {
      const [, count, unit] = spanForm.exec(text)!;
      return { count: Number(count), unit: spanUnits[unit as keyof typeof spanUnits] };
    })
    .meta({ description, example })
    .optional();
}

function count(description: string, example: number): z.ZodOptional<z.ZodInt> {
  return z.int().min(1).max(100_000).meta({ description, example }).optional();
}

const keeping = {
  last: count('Keep the newest so many', 3),
  within: span('Keep everything younger than this', '7d'),
  hourly: count('Keep the newest of each hour, for so many hours that have one', 48),
  daily: count('Keep the newest of each day, for so many days that have one', 30),
  weekly: count('Keep the newest of each week, for so many weeks that have one', 8),
  monthly: count('Keep the newest of each month, for so many months that have one', 12),
  yearly: count('Keep the newest of each year, for so many years that have one', 10),
  departed: span(
    'Keep all backups of a unit that left the registry for so long after its newest; then remove them all',
    '2y',
  ),
};

type Written = { [name in keyof typeof keeping]?: unknown };
const rules = ['last', 'within', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;

function saysWhatToKeep(written: Written): boolean {
  return rules.some((rule) => written[rule] !== undefined);
}

const nothingKept = `nothing says what to keep: give at least one of ${rules.join(', ')}`;

const labelRule: z.ZodType<RetentionRule> = z
  .strictObject({
    where: z
      .record(z.string().min(1).max(63), z.string().max(256))
      .refine((labels) => Object.keys(labels).length > 0, 'expected at least one label with its value')
      .meta({ description: 'Labels of the unit; all of them must be so', example: { plan: 'demo' } }),
    ...keeping,
  })
  .refine(saysWhatToKeep, nothingKept)
  .transform(withoutUndefined);

/** What a pipeline or a sink keeps. The time zone, where it is not given, is the pipeline's. */
export const retentionOption: z.ZodType<Omit<Retention, 'timezone'> & { readonly timezone?: string }> = z
  .strictObject({
    ...keeping,
    timezone: z
      .string()
      .refine(isTimezone, 'this time zone is not known')
      .meta({
        description:
          "Where days, weeks, months and years begin; without it the pipeline's `timezone`, else UTC",
        example: 'Europe/Berlin',
      })
      .optional(),
    rules: z
      .array(labelRule)
      .default([])
      .meta({
        description: 'For units with certain labels, in place of the rest; the first that fits holds',
        example: [{ where: { plan: 'demo' }, weekly: 4 }],
      }),
  })
  .refine((written) => written.rules.length > 0 || saysWhatToKeep(written), nothingKept)
  .transform(withoutUndefined)
  .meta({
    description:
      'Which backups `pgsilo prune` keeps: those that any of these rules keeps, and never fewer than the newest good one',
    example: { last: 3, daily: 30, monthly: 12 },
  });

export function isTimezone(name: string): boolean {
  try {
    return Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

export type Given<Fields> = { [Name in keyof Fields]: Exclude<Fields[Name], undefined> };

/** The same without what was not given. */
export function withoutUndefined<Fields extends object>(fields: Fields): Given<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Given<Fields>;
}
