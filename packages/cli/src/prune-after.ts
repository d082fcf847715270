import { prune } from '@pgsilo/engine';
import type { Pipeline, PruneReport, RunReport } from '@pgsilo/engine';
import type { Pipeline as PipelineFile } from '@pgsilo/pipeline-file';
import { toPgsiloError } from '@pgsilo/plugin';
import type { Invocation } from './invocation.ts';
import { reportError } from './perform.ts';

/**
 * `prune: after-backup`: applies retention after a run, only one that ended well: when backups fail, the old ones are what there is.
 * @returns what was pruned, and the exit status where that makes it another than the run's.
 */
export async function pruneAfter(
  read: PipelineFile,
  pipeline: Pipeline,
  run: RunReport,
  invocation: Invocation,
): Promise<{ readonly pruned?: PruneReport; readonly exit?: number }> {
  if (read.prune !== 'after-backup') return {};
  const { log, signal } = invocation;
  if (run.status !== 'ok') {
    log.warn('not pruned, because the run did not end well', { run: run.run, status: run.status });
    return {};
  }
  try {
    const pruned = await prune(pipeline, { signal });
    const optional = new Set(pipeline.sinks.filter(({ required }) => !required).map(({ name }) => name));
    const failed = pruned.sinks.filter(
      ({ error, failed, unreadable }) => error !== undefined || failed + unreadable > 0,
    );
    for (const { sink, error } of failed.filter(({ sink }) => optional.has(sink)))
      log.warn('a sink that is not required was not pruned to its end', { sink, error: error?.message });
    return { pruned, ...(failed.every(({ sink }) => optional.has(sink)) ? {} : { exit: 1 }) };
  } catch (thrown) {
    const error = toPgsiloError(thrown);
    // Another is doing it: nothing is amiss.
    if (error.code === 'run.locked') {
      log.warn(error.message);
      return {};
    }
    await reportError(error, invocation);
    // The backups are committed, whatever kept old ones from being removed.
    return { exit: error.code === 'aborted' ? error.exit : 1 };
  }
}
