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
