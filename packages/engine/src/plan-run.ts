import type { Job, MissingUnit } from '@pgsilo/plugin';
import { readHistory } from './history.ts';
import type { Pipeline } from './pipeline.ts';
import { largestFirst } from './run.ts';
import { selectUnits } from './select-units.ts';
import type { Selection } from './select-units.ts';
import { withSession } from './session.ts';

/** What a run would do. */
export interface RunPlan {
  /** In the order in which they would start. */
  readonly jobs: readonly Job[];
  readonly missing: readonly MissingUnit[];
  readonly warnings: readonly string[];
  /** Sum of the known estimates, in bytes. */
  readonly bytes: number;
}

export async function planRun(
  pipeline: Pipeline,
  options: Selection & { readonly signal: AbortSignal },
): Promise<RunPlan> {
  return withSession(pipeline, options.signal, async (session) => {
    const history = await readHistory(session);
    const plan = selectUnits(await pipeline.source.source.plan(history, session.context()), options);
    const jobs = largestFirst(plan.jobs, history);
    return {
      jobs,
      missing: plan.missing,
      warnings: plan.warnings,
      bytes: jobs.reduce((total, job) => total + (job.estimatedBytes ?? 0), 0),
    };
  });
}
