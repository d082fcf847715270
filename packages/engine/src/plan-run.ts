import type { Job, MissingUnit, SourceTraits } from '@pgsilo/plugin';
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
  /** How the source will do it, and what is always so with it although a person may believe otherwise. */
  readonly notes: readonly string[];
  /** Sum of the known estimates, in bytes. */
  readonly bytes: number;
}

const consistencyNotes: Readonly<Record<SourceTraits['consistency'], readonly string[]>> = {
  unit: [
    'Each unit has a snapshot of its own: what one transaction wrote into two of them may be in one backup and not in the other.',
  ],
  job: [
    'Units of one job share a snapshot; what one transaction wrote into units of two jobs may be in one backup and not in the other.',
  ],
  cluster: [],
};

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
      notes: plan.notes ?? (jobs.length > 1 ? consistencyNotes[pipeline.source.traits.consistency] : []),
      bytes: jobs.reduce((total, job) => total + (job.estimatedBytes ?? 0), 0),
    };
  });
}
