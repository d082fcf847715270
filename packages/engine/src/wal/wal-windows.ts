import type { WalLeg } from '@pgsilo/plugin';
import type { Run, SegmentSet } from './segment-set.ts';

/** Segments of one timeline. */
export interface Stretch extends Run {
  readonly timeline: string;
}

/** How far recovery of a backup gets by the log that is there. */
export interface Reach {
  /** The last segment without a gap before it; undefined: the first one behind the backup is not there. */
  readonly last?: { readonly timeline: string; readonly number: number };
  /** What is missing there, although log behind it is archived. Its end may lie behind what the timeline had. */
  readonly gap?: Stretch;
}

/** Follows the way of recovery as far as there is log. */
export function reachOf(way: readonly WalLeg[], sets: ReadonlyMap<string, SegmentSet>): Reach {
  let last: Reach['last'];
  for (const [index, { timeline, from, to = Infinity }] of way.entries()) {
    if (to < from) continue;
    const run = sets.get(timeline)?.runFrom(from);
    const there = run && run.from <= from ? Math.min(run.to, to) : undefined;
    if (there !== undefined) last = { timeline, number: there };
    if (there === to) continue;
    const missing = there === undefined ? from : there + 1;
    const next = sets.get(timeline)?.runFrom(missing);
    const end =
      next && next.from <= to
        ? next.from - 1
        : anyBehind(way.slice(index + 1), sets)
          ? Math.min(to, Number.MAX_SAFE_INTEGER)
          : undefined;
    return {
      ...(last ? { last } : {}),
      ...(end === undefined ? {} : { gap: { timeline, from: missing, to: end } }),
    };
  }
  return last ? { last } : {};
}

function anyBehind(legs: readonly WalLeg[], sets: ReadonlyMap<string, SegmentSet>): boolean {
  return legs.some(({ timeline, from, to = Infinity }) => {
    const run = to < from ? undefined : sets.get(timeline)?.runFrom(from);
    return run !== undefined && run.from <= to;
  });
}

/** Whether other sinks together have all of it. */
export function isCovered(
  { timeline, from, to }: Stretch,
  others: readonly ReadonlyMap<string, SegmentSet>[],
): boolean {
  for (let at = from; at <= to;) {
    const ends = others.map((sets) => {
      const run = sets.get(timeline)?.runFrom(at);
      return run && run.from <= at ? run.to : -1;
    });
    const furthest = Math.max(-1, ...ends);
    if (furthest < at) return false;
    at = furthest + 1;
  }
  return true;
}
