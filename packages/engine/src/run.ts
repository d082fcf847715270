import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { abortReason, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import { ownIdentity } from '@pgsilo/plugin/process-identity';
import type { History, Job } from '@pgsilo/plugin';
import type { RunEvent } from './events.ts';
import { readHistory } from './history.ts';
import { failedUnit, runJob } from './job.ts';
import { newRunId, runBeginKey, runSummaryKey } from './keys.ts';
import { putDocument } from './objects.ts';
import type { Pipeline } from './pipeline.ts';
import { pinStored } from './pins.ts';
import { eachLimited } from './pool.ts';
import { takeRunLock } from './run-lock.ts';
import type { RunReport, RunUnit } from './run-records.ts';
import { writeRunBegin, writeRunReport } from './run-records.ts';
import { RunState } from './run-state.ts';
import { isSelected, selectUnits } from './select-units.ts';
import type { Selection } from './select-units.ts';
import { withSession } from './session.ts';
import type { EngineSession } from './session.ts';
import { sweepDeadRuns } from './sweep.ts';

export interface BackupOptions extends Selection {
  /** Stand on every manifest of the run. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Holds what the run makes. */
  readonly pin?: { readonly reason: string; readonly until?: Date };
  /** Milliseconds to wait for another run of the pipeline. */
  readonly wait?: number;
  readonly signal: AbortSignal;
  readonly observe?: (event: RunEvent) => void;
}

/** Jobs in flight for each that the source is read for. */
const jobsForEachSlot = 2;

/** Milliseconds that the last records of an interrupted run may take. */
const lastWords = 30_000;

/**
 * Runs a pipeline once. Units that fail stand in the report; what keeps the run from beginning (no server, no sink, the lock held by another) is thrown.
 */
export async function backup(pipeline: Pipeline, options: BackupOptions): Promise<RunReport> {
  return withSession(pipeline, options.signal, async (session) => {
    const startedAt = pipeline.clock.now();
    const run = newRunId(startedAt, randomBytes(3).toString('hex'));
    const observe = options.observe ?? (() => undefined);
    const lock = await takeRunLock(session, {
      // The host last: a source may have to cut this to what its server keeps (PostgreSQL: 51 bytes).
      holder: `${run} pid ${process.pid} on ${hostname()}`,
      wait: options.wait ?? 0,
      onWaiting: (holder, since) => observe({ type: 'waiting', holder, since }),
    });
    try {
      const signal = AbortSignal.any([options.signal, lock.lost]);
      const state = new RunState({ session, run, signal, labels: options.labels ?? {}, observe });
      return await runLocked(state, options, startedAt);
    } finally {
      await lock
        .release()
        .catch((error: unknown) =>
          pipeline.log.warn('the run lock was not released cleanly', { error: String(error) }),
        );
    }
  });
}

async function runLocked(state: RunState, options: BackupOptions, startedAt: Date): Promise<RunReport> {
  const { session, run, signal } = state;
  const { pipeline } = session;
  await Promise.all(pipeline.sinks.map((sink) => sweepDeadRuns(session, sink)));
  const history = await readHistory(session);
  const whole = await pipeline.source.source.plan(history, session.context(1, signal));
  const plan = selectUnits(whole, options);
  const jobs = largestFirst(plan.jobs, history);
  const names = jobs.flatMap((job) => job.units.map((unit) => unit.name));
  if (names.length + plan.missing.length === 0)
    throw new PgsiloError('source.plan-invalid', `the source of pipeline ${pipeline.name} has no units`);
  await begin(state, startedAt, names);
  const lines: RunUnit[] = plan.missing.map(({ unit, error }) => failedUnit(unit.name, error, 0, 0));
  state.observe({
    type: 'planned',
    run,
    jobs: jobs.length,
    units: names.length + lines.length,
    missing: [...lines],
    estimatedBytes: jobs.reduce((total, job) => total + (job.estimatedBytes ?? 0), 0),
    warnings: plan.warnings,
  });

  // While one job's last objects are being stored and named, the source is already read for another.
  const width = Math.min(jobsForEachSlot * pipeline.limits.jobs, Math.max(1, jobs.length));
  await eachLimited(
    jobs.map((job, index) => ({ job, index: index + 1 })),
    width,
    async ({ job, index }) => {
      const done = signal.aborted
        ? job.units.map((unit) => failedUnit(unit.name, abortReason(signal), 0, 0))
        : await runJob(state, job, index, 1 / width);
      lines.push(...done);
    },
  );
  const warnings = [...plan.warnings];
  if (options.pin) warnings.push(...(await pinStored(session, lines, options.pin)));
  return end(state, {
    startedAt,
    lines,
    warnings,
    selected: isSelected(options),
    pinned: options.pin !== undefined,
    planWarnings: plan.warnings.length,
  });
}

/** Says to every sink that a run has begun; one that cannot take even that takes no part in it. */
async function begin(state: RunState, startedAt: Date, units: readonly string[]): Promise<void> {
  const { session, run } = state;
  const { name } = session.pipeline;
  const marker = writeRunBegin({
    run,
    pipeline: name,
    startedAt: startedAt.toISOString(),
    process: { host: hostname(), pid: process.pid, identity: ownIdentity() },
    units: [...units],
  });
  const failures: PgsiloError[] = [];
  await Promise.all(
    state.sinks.map(async (sink) => {
      try {
        await putDocument(session, sink, runBeginKey(name, run), marker, 'run', state.signal);
      } catch (thrown) {
        const error = toPgsiloError(thrown, 'sink.failed');
        failures.push(error);
        state.sinkFailed(sink, error, undefined, true);
      }
    }),
  );
  if (state.sinks.length === 0) throw failures[0] ?? new PgsiloError('internal', 'no sink is left');
}

interface Ending {
  readonly startedAt: Date;
  readonly lines: readonly RunUnit[];
  readonly warnings: readonly string[];
  readonly selected: boolean;
  readonly pinned: boolean;
  readonly planWarnings: number;
}

async function end(state: RunState, ending: Ending): Promise<RunReport> {
  const { session, run, signal } = state;
  const { pipeline } = session;
  const stopped = signal.aborted ? abortReason(signal) : undefined;
  const optional = new Set(pipeline.sinks.filter((sink) => !sink.required).map((sink) => sink.name));
  const lacking = (line: RunUnit): RunUnit['sinks'] => line.sinks.filter((sink) => sink.status !== 'stored');
  const committed = ending.lines.filter((line) => line.status !== 'failed');
  const whole =
    stopped === undefined &&
    ending.warnings.length === ending.planWarnings &&
    ending.lines.every(
      (line) => line.status === 'good' && lacking(line).every((sink) => optional.has(sink.sink)),
    );
  const report: RunReport = {
    run,
    pipeline: pipeline.name,
    startedAt: ending.startedAt.toISOString(),
    finishedAt: pipeline.clock.now().toISOString(),
    status:
      stopped?.code === 'aborted' ? 'aborted' : whole ? 'ok' : committed.length > 0 ? 'partial' : 'failed',
    selected: ending.selected,
    units: [...ending.lines],
    warnings: [...ending.warnings, ...optionalSinkWarnings(ending.lines, optional)],
    ...(stopped ? { error: stopped.toJSON() } : {}),
  };
  return (await record(session, state, report))
    ? report
    : { ...report, status: report.status === 'ok' ? 'partial' : report.status };
}

function optionalSinkWarnings(lines: readonly RunUnit[], optional: ReadonlySet<string>): readonly string[] {
  return [...optional].flatMap((name) => {
    const units = lines.filter((line) =>
      line.sinks.some((sink) => sink.sink === name && sink.status !== 'stored'),
    );
    return units.length === 0
      ? []
      : [`sink ${name} (not required) lacks ${units.length} of ${lines.length} units of this run`];
  });
}

/** Writes the summary into every sink that took part; false when a required one did not take it. */
async function record(session: EngineSession, state: RunState, report: RunReport): Promise<boolean> {
  const bytes = writeRunReport(report);
  const signal = AbortSignal.timeout(lastWords);
  const written = await Promise.all(
    state.sinks.map(async (sink) => {
      try {
        await putDocument(session, sink, runSummaryKey(report.pipeline, report.run), bytes, 'run', signal);
        return true;
      } catch (error) {
        session.pipeline.log.error('the run’s summary was not written', {
          sink: sink.name,
          error: toPgsiloError(error).message,
        });
        return !sink.required;
      }
    }),
  );
  return written.every(Boolean);
}

/** The largest first, so that the last one to end does not begin last. What the last run measured counts more than the source's estimate. */
export function largestFirst(jobs: readonly Job[], history: History): readonly Job[] {
  const bytes = (job: Job): number => {
    const known = job.units.map((unit) => history.lastBytes(unit.name));
    return known.every((size) => size !== undefined)
      ? known.reduce((total: number, size) => total + (size as number), 0)
      : (job.estimatedBytes ?? 0);
  };
  return [...jobs].sort((a, b) => bytes(b) - bytes(a));
}

/** Exit status of a run (design: 0 all good, 1 some failed, 3 nothing could be done, 130 interrupted). */
export function exitOf(report: RunReport): 0 | 1 | 3 | 130 {
  switch (report.status) {
    case 'ok':
      return 0;
    case 'partial':
      return 1;
    case 'aborted':
      return 130;
    default:
      return 3;
  }
}
