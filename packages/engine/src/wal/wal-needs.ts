import { timeOfId } from '../keys.ts';
import type { PipelineSink } from '../pipeline.ts';
import type { PlannedBackup } from '../prune-plan.ts';
import type { PrunedBackup } from '../prune-report.ts';

/** What the backups that stay in a sink need of its write-ahead log. */
export interface WalNeed {
  /** The first file that each of them needs; each name once. */
  readonly firsts: readonly string[];
  /** Files that were stored since then may be needed by a backup that is being made. */
  readonly before: Date;
}

/** Milliseconds that the clocks of a store and of the hosts that back up may differ. */
const clockSkew = 3_600_000;

/** Collects, as backups are pruned, what the log of each sink is kept for. Holds a name for each backup that stays. */
export class WalNeeds {
  readonly #of = new Map<
    PipelineSink,
    { firsts: Set<string>; times: number[]; unknown: string | undefined }
  >();

  /** Everything that is still listed counts: also what should have gone and did not. */
  take({ sink, backup, firstWal }: PlannedBackup, outcome: PrunedBackup['outcome']): void {
    if (outcome === 'removed' || outcome === 'planned') return;
    let found = this.#of.get(sink);
    if (!found) this.#of.set(sink, (found = { firsts: new Set(), times: [], unknown: undefined }));
    found.times.push(timeOfId(backup));
    if (firstWal === undefined) found.unknown ??= backup;
    else found.firsts.add(firstWal);
  }

  /** In words, why nothing of a sink's log can be expired; else what is needed of it. */
  of(sink: PipelineSink, now: Date): WalNeed | string {
    const found = this.#of.get(sink);
    if (!found) return 'no base backup is kept there';
    if (found.unknown !== undefined)
      return `backup ${found.unknown} does not say which write-ahead log it needs`;
    // A backup that goes on meanwhile began after the newest one that is there, and its log was stored after that.
    const newest = found.times.reduce(
      (most, time) => (time <= now.getTime() ? Math.max(most, time) : most),
      0,
    );
    return { firsts: [...found.firsts], before: new Date(newest - clockSkew) };
  }
}
