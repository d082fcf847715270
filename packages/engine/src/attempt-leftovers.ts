import type { PgsiloError } from '@pgsilo/plugin';
import { encodeUnit } from './keys.ts';
import { removeObjects } from './objects.ts';
import type { PipelineSink } from './pipeline.ts';
import type { RunState } from './run-state.ts';

/** Milliseconds that the removal of a failed attempt's objects may take; what is left is swept by a later run. */
const cleanUpTime = 60_000;

/** Removes what a failed attempt stored. Manifests first, in case one of several units had its manifest already. */
export async function removeLeftovers(
  state: RunState,
  written: ReadonlyMap<PipelineSink, readonly string[]>,
): Promise<void> {
  const { log } = state.session.pipeline;
  await Promise.all(
    [...written].map(async ([sink, keys]) => {
      try {
        const manifests = [
          ...new Set(keys.map((key) => `${key.slice(0, key.lastIndexOf('/'))}/manifest.json`)),
        ];
        await removeObjects(state.session, sink, manifests, AbortSignal.timeout(cleanUpTime));
        await removeObjects(state.session, sink, keys, AbortSignal.timeout(cleanUpTime));
      } catch (error) {
        log.warn('what a failed attempt had stored was not removed; a later run sweeps it', {
          sink: sink.name,
          error: String(error),
        });
      }
    }),
  );
}

/** A unit with what went wrong in sinks that hold a part of it. */
interface FailedIn {
  readonly unit: { readonly name: string };
  readonly failed: ReadonlyMap<PipelineSink, PgsiloError>;
}

/** What units left in sinks that hold only a part of them; nothing of sinks that would not answer now either. */
export function ofFailedSinks(
  state: RunState,
  units: readonly FailedIn[],
  written: ReadonlyMap<PipelineSink, readonly string[]>,
): ReadonlyMap<PipelineSink, readonly string[]> {
  const left = new Map<PipelineSink, string[]>();
  for (const [sink, keys] of written) {
    if (state.droppedBecause(sink)) continue;
    const failed = units.filter(
      ({ failed: errors }) => (errors.get(sink)?.code ?? 'sink.unreachable') !== 'sink.unreachable',
    );
    const folders = new Set(failed.map(({ unit }) => encodeUnit(unit.name)));
    // <pipeline>/units/<unit>/<backup>/<artifact>, see keys.ts.
    const ours = keys.filter((key) => folders.has(key.split('/').at(-3)!));
    if (ours.length > 0) left.set(sink, ours);
  }
  return left;
}
