import { isDeepStrictEqual } from 'node:util';
import { abortReason, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Plan, Unit } from '@pgsilo/plugin';
import type { Manifest } from './manifest.ts';
import type { Pipeline } from './pipeline.ts';
import { backup } from './run.ts';
import type { RunUnit } from './run-records.ts';
import { safetyLabels } from './safety-label.ts';

/** What was live before a restore replaced it. */
export interface SafetyBackup {
  readonly backup: string;
  /** Names of the sinks that have it; at least one. */
  readonly sinks: readonly string[];
  /** Names of the sinks that should have it and do not. */
  readonly missingFrom: readonly string[];
}

/** What a safety backup is for. */
export interface SafetyRequest {
  /** The backup that is about to be restored: its unit is what is backed up. */
  readonly manifest: Pick<Manifest, 'unit' | 'backup'>;
  /** Whether what is replaced is dropped after it. */
  readonly dropOld: boolean;
  readonly signal: AbortSignal;
}

/**
 * Backs up what a restore is about to replace: a run of the pipeline like any other, of that unit alone, labelled with why it was made.
 * One sink that has it is enough. Throws `restore.safety-backup-failed`, or `aborted`; nothing was replaced then.
 */
export async function takeSafetyBackup(pipeline: Pipeline, request: SafetyRequest): Promise<SafetyBackup> {
  const { manifest, signal } = request;
  const { unit } = manifest;
  try {
    const report = await backup(pipeline, {
      only: [unit.name],
      labels: safetyLabels,
      accept: (plan) => refuseOther(plan, unit),
      signal,
    });
    if (signal.aborted) throw abortReason(signal);
    const line = report.units.find((each) => each.unit === unit.name);
    if (!line) throw new PgsiloError('internal', 'the run says nothing of the unit');
    return stored(line);
  } catch (thrown) {
    if (signal.aborted) throw abortReason(signal);
    throw failed(unit, thrown, request);
  }
}

/** What cannot be backed up for safety, known before anything is begun: the source reads its own server, and no other. */
export function refuseElsewhere(unit: string, live: string): PgsiloError {
  return new PgsiloError(
    'restore.safety-backup-failed',
    `${JSON.stringify(live)} on the server of --to-server would be replaced, and the pipeline backs up ${JSON.stringify(unit)} of its own server only`,
    { hint: 'Back it up there yourself, then restore with --no-safety-backup.' },
  );
}

/** The registry may by now say that the tenant lives elsewhere: that place is not the one that is replaced. */
function refuseOther(plan: Plan, unit: Unit): void {
  const found = plan.jobs.flatMap(({ units }) => units).find(({ name }) => name === unit.name);
  if (!found || isDeepStrictEqual(found.origin, unit.origin)) return;
  throw new PgsiloError(
    'restore.refused',
    `${JSON.stringify(unit.name)} is ${JSON.stringify(found.origin)} now, and what would be replaced is ${JSON.stringify(unit.origin)}`,
  );
}

function stored(line: RunUnit): SafetyBackup {
  const names = (...states: readonly string[]): readonly string[] =>
    line.sinks.filter(({ status }) => states.includes(status)).map(({ sink }) => sink);
  const sinks = names('stored');
  if (line.status === 'good' && line.backup !== undefined && sinks.length > 0)
    return { backup: line.backup, sinks, missingFrom: names('failed', 'skipped') };
  if (line.status === 'damaged')
    throw new PgsiloError(
      'source.failed',
      `the server reported damage while it was read; what could be read is kept as backup ${line.backup}`,
    );
  const failure = line.error ?? line.sinks.find(({ error }) => error)?.error;
  throw failure
    ? new PgsiloError(failure.code, failure.message)
    : new PgsiloError('sink.failed', 'no sink has taken it');
}

function failed({ name }: Unit, thrown: unknown, { dropOld }: SafetyRequest): PgsiloError {
  const known = toPgsiloError(thrown);
  const otherwise = dropOld
    ? 'With --drop-old nothing at all is then left of what is replaced: take that out too.'
    : 'What is replaced stays on the server under another name.';
  const message = known.message.replace(/[.\s]+$/, '');
  return new PgsiloError(
    'restore.safety-backup-failed',
    `${JSON.stringify(name)} could not be backed up as it is now, so it is not replaced; nothing was touched: ${message} (${known.code})`,
    { cause: thrown, hint: `Mend that, or restore without this backup: --no-safety-backup. ${otherwise}` },
  );
}
