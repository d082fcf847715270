import { hostname } from 'node:os';
import { abortReason, PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { ownIdentity } from '@pgsilo/plugin/process-identity';
import type { History, Job, Plan } from '@pgsilo/plugin';
import type { RunEvent } from './events.ts';
import { readDue } from './acceptance.ts';
import { meetSinks } from './first-contact.ts';
import { readHistory } from './history.ts';
import { withHooks } from './hooks.ts';
import type { Hooked } from './hooks.ts';
import { failedUnit, runJob } from './job.ts';
import { newRunId, runBeginKey } from './keys.ts';
import { putDocument } from './objects.ts';
import type { Pipeline } from './pipeline.ts';
import { pinStored } from './pins.ts';
import { eachLimited } from './pool.ts';
import { takeRunLock } from './run-lock.ts';
import type { RunReport, RunUnit } from './run-records.ts';
import { writeRunBegin } from './run-records.ts';
import { endRun } from './run-end.ts';
import { RunState } from './run-state.ts';
import { isSafetyBackup, safetyLabels } from './safety-label.ts';
import { isSelected, selectUnits } from './select-units.ts';
import type { Selection } from './select-units.ts';
import { withSession } from './session.ts';
import { sweepDeadRuns } from './sweep.ts';

export interface BackupOptions extends Selection {
  /** Stand on every manifest of the run. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Holds what the run makes. */
  readonly pin?: { readonly reason: string; readonly until?: Date };
  /** Milliseconds to wait for another run of the pipeline. */
  readonly wait?: number;
  /** Looks at what was selected and throws to refuse it; the run has then written nothing. */
  readonly accept?: (plan: Plan) => void;
  readonly signal: AbortSignal;
  readonly observe?: (event: RunEvent) => void;
}

/** Jobs in flight for each that the source is read for. */
const jobsForEachSlot = 2;

/**
 * Runs a pipeline once. Units that fail stand in the report; what keeps the run from beginning (no server, no sink, the lock held by another) is thrown.
 */
export async function backup(pipeline: Pipeline, options: BackupOptions): Promise<RunReport> {
  return withSession(pipeline, options.signal, async (session) => {
    const startedAt = pipeline.clock.now();
    const run = newRunId(startedAt);
    const observe = options.observe ?? (() => undefined);
    const lock = await takeRunLock(session, {
      // The host last: a source may have to cut this to what its server keeps (PostgreSQL: 51 bytes).
      holder: `${run} pid ${process.pid} on ${hostname()}`,
      wait: options.wait ?? 0,
      onWaiting: (holder, since) => observe({ type: 'waiting', holder, since }),
    });
    try {
      const signal = AbortSignal.any([options.signal, lock.lost]);
      const labels = options.labels ?? {};
      const state = new RunState({ session, run, signal, labels, observe });
      const facts = { run, ...(isSafetyBackup({ labels }) ? safetyLabels : {}) };
      const hooked = { around: 'backup', facts, signal, statusOf } as const;
      const done = await withHooks(pipeline, hooked, () => runLocked(state, options, startedAt));
      return withFailedHooks(done);
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
  await meetSinks(state);
  await Promise.all(state.sinks.map((sink) => sweepDeadRuns(session, sink)));
  const history = await readHistory(session, state.sinks);
  const whole = await pipeline.source.source.plan(history, session.context(1, signal));
  const plan = selectUnits(whole, options);
  options.accept?.(plan);
  const jobs = largestFirst(plan.jobs, history);
  const names = jobs.flatMap((job) => job.units.map((unit) => unit.name));
  if (names.length + plan.missing.length === 0)
    throw new PgsiloError('source.plan-invalid', `the source of pipeline ${pipeline.name} has no units`);
  await begin(state, startedAt, names);
  await askSinks(state, names);
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
  return endRun(state, {
    startedAt,
    lines,
    warnings,
    selected: isSelected(options),
    pinned: options.pin !== undefined,
    planWarnings: plan.warnings.length,
  });
}

const statusOf = ({ status }: RunReport): string => status;

/** The run's record in the sinks was written before the hooks after it: what it says of the backups stays true. */
function withFailedHooks({ result, failedHooks }: Hooked<RunReport>): RunReport {
  if (failedHooks.length === 0) return result;
  return { ...result, failedHooks, status: result.status === 'ok' ? 'partial' : result.status };
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
  if (state.sinks.length > 0) return;
  const [first] = session.pipeline.sinks;
  throw (
    failures[0] ?? (first && state.droppedBecause(first)) ?? new PgsiloError('internal', 'no sink is left')
  );
}

/** What the sinks with `accept` want of this run; one that cannot say so takes no part in it. */
async function askSinks(state: RunState, units: readonly string[]): Promise<void> {
  const safety = isSafetyBackup(state);
  await Promise.all(
    state.sinks.map(async (sink) => {
      // What somebody is about to get rid of must not be a month's only backup.
      if (safety && sink.accept) return state.wanted(sink, () => false);
      try {
        state.wanted(sink, await readDue(state.session, sink, state.run, units));
      } catch (thrown) {
        throwIfAborted(state.signal);
        state.sinkFailed(sink, toPgsiloError(thrown, 'sink.failed'), undefined, true);
      }
    }),
  );
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
