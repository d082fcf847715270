import { PgsiloError } from '@pgsilo/plugin';
import type { Job, Plan } from '@pgsilo/plugin';

/** Which units of a plan to take; nothing set means all. */
export interface Selection {
  /** Names; each must exist. */
  readonly only?: readonly string[];
  /** Labels that all must have these values. */
  readonly where?: readonly { readonly label: string; readonly value: string }[];
}

export function isSelected(selection: Selection): boolean {
  return (selection.only?.length ?? 0) > 0 || (selection.where?.length ?? 0) > 0;
}

/**
 * Cuts a plan to the selected units; jobs that lose all their units go.
 * Throws `usage.invalid` when a name or label selects nothing: an empty run would look like a success.
 */
export function selectUnits(plan: Plan, selection: Selection): Plan {
  if (!isSelected(selection)) return plan;
  const { only = [], where = [] } = selection;
  const all = [...plan.jobs.flatMap((job) => job.units), ...plan.missing.map(({ unit }) => unit)];
  const names = new Set(all.map((unit) => unit.name));
  const unknown = only.filter((name) => !names.has(name));
  if (unknown.length > 0) {
    throw new PgsiloError(
      'usage.invalid',
      `the pipeline has no unit ${unknown.map((name) => JSON.stringify(name)).join(', ')}`,
      {
        hint: '`pgsilo plan` shows the units that there are.',
      },
    );
  }
  const chosen = new Set(
    all
      .filter((unit) => only.length === 0 || only.includes(unit.name))
      .filter((unit) => where.every(({ label, value }) => unit.labels[label] === value))
      .map((unit) => unit.name),
  );
  if (chosen.size === 0) {
    const asked = where.map(({ label, value }) => `${label}=${value}`).join(', ');
    throw new PgsiloError('usage.invalid', `no unit has ${asked}`, {
      hint: '`pgsilo plan` shows the units and their labels.',
    });
  }
  return {
    ...plan,
    jobs: plan.jobs.flatMap((job) => cut(job, chosen)),
    missing: plan.missing.filter(({ unit }) => chosen.has(unit.name)),
  };
}

function cut(job: Job, chosen: ReadonlySet<string>): Job[] {
  const units = job.units.filter((unit) => chosen.has(unit.name));
  return units.length === 0 ? [] : [{ ...job, units }];
}
