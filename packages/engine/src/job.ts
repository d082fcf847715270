import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Job } from '@pgsilo/plugin';
import type { JobProgress } from './events.ts';
import { attemptJob } from './job-attempt.ts';
import type { CommittedUnit } from './job-attempt.ts';
import { backupId } from './keys.ts';
import { backoffDelay } from './retry.ts';
import type { RunUnit } from './run-records.ts';
import type { RunState } from './run-state.ts';

/** Runs a job until it ends well, fails for good, or its attempts are used up; never throws but when the run is aborted. */
export async function runJob(
  state: RunState,
  job: Job,
  index: number,
  share: number,
): Promise<readonly RunUnit[]> {
  const { limits, clock, log } = state.session.pipeline;
  let slot = await state.reading.take();
  const began = clock.now();
  const progress: JobProgress = {
    id: job.id,
    units: job.units.map((unit) => unit.name),
    estimatedBytes: job.estimatedBytes,
    bytes: 0,
    startedAt: began,
  };
  const seconds = (): number => (clock.now().getTime() - began.getTime()) / 1000;
  for (let attempt = 1; ; attempt++) {
    progress.bytes = 0;
    state.observe({ type: 'job-started', job: progress, attempt });
    const timeout = jobTimeout(limits.jobTimeout, job.id);
    try {
      const committed = await attemptJob(state, {
        job,
        backup: backupId(state.run, attempt),
        label: `${state.run}.${attempt} j${index}`,
        signal: timeout ? AbortSignal.any([state.signal, timeout.signal]) : state.signal,
        share,
        onBytes: (count) => {
          progress.bytes += count;
        },
        onRead: slot.release,
      });
      return finish(
        state,
        progress,
        committed.map((unit) => committedLine(state, unit, attempt, seconds())),
      );
    } catch (thrown) {
      const error = toPgsiloError(thrown);
      // Others are read while this one waits for its next attempt.
      slot.release();
      log.debug('attempt failed', { job: job.id, attempt, code: error.code, error: error.message });
      const again =
        error.retryable && attempt < limits.attempts && !state.signal.aborted && state.sinks.length > 0;
      if (!again) return finish(state, progress, failedLines(job, error, attempt, seconds()));
      const delay = backoffDelay(limits.backoff, attempt);
      state.observe({ type: 'job-retry', job: progress, attempt, error: error.toJSON(), delay });
      try {
        await clock.sleep(delay, state.signal);
      } catch {
        return finish(state, progress, failedLines(job, error, attempt, seconds()));
      }
    } finally {
      slot.release();
      timeout?.cancel();
    }
    slot = await state.reading.take();
  }
}

function finish(state: RunState, progress: JobProgress, units: readonly RunUnit[]): readonly RunUnit[] {
  state.observe({ type: 'job-finished', job: progress, units });
  return units;
}

function jobTimeout(
  milliseconds: number | undefined,
  job: string,
): { readonly signal: AbortSignal; cancel(): void } | undefined {
  if (milliseconds === undefined) return undefined;
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(
      new PgsiloError('limit.timeout', `job ${job} took longer than ${milliseconds / 1000} s`, {
        hint: 'Look for what blocks it on the server, or raise `limits.jobTimeout`.',
      }),
    );
  }, milliseconds);
  return { signal: controller.signal, cancel: () => clearTimeout(timer) };
}

function committedLine(state: RunState, unit: CommittedUnit, attempts: number, seconds: number): RunUnit {
  return {
    unit: unit.unit.name,
    backup: unit.backup,
    status: unit.status,
    attempts,
    bytes: unit.bytes,
    storedBytes: unit.storedBytes,
    seconds,
    sinks: state.session.pipeline.sinks.map((sink) => {
      if (unit.stored.includes(sink)) return { sink: sink.name, status: 'stored' as const };
      if (!state.wants(sink, unit.unit.name)) return { sink: sink.name, status: 'not-due' as const };
      const failure = unit.failed.get(sink);
      if (failure) return { sink: sink.name, status: 'failed' as const, error: failure.toJSON() };
      const because = state.droppedBecause(sink);
      return { sink: sink.name, status: 'skipped' as const, ...(because ? { error: because.toJSON() } : {}) };
    }),
  };
}

function failedLines(job: Job, error: PgsiloError, attempts: number, seconds: number): readonly RunUnit[] {
  return job.units.map((unit) => failedUnit(unit.name, error, attempts, seconds));
}

/** The line of a unit that has no backup from this run. */
export function failedUnit(unit: string, error: PgsiloError, attempts: number, seconds: number): RunUnit {
  return {
    unit,
    status: 'failed',
    attempts,
    bytes: 0,
    storedBytes: 0,
    seconds,
    error: error.toJSON(),
    sinks: [],
  };
}
