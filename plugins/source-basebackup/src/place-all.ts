import type { ArtifactView } from '@pgsilo/plugin';
import { placeOf } from './layout.ts';
import type { FilePlacer } from './place-files.ts';

/** Those of single databases side by side; then what a server cannot start without, in the order in which it came, so that what was left half done is no data directory. */
export async function placeAll(
  placer: FilePlacer,
  artifacts: readonly ArtifactView[],
  jobs: number,
): Promise<void> {
  const isBase = ({ name }: ArtifactView): boolean => placeOf(name)!.base;
  const waiting = artifacts.filter((one) => !isBase(one)).reverse();
  let failed = false;
  const work = async (): Promise<void> => {
    for (let next = waiting.pop(); next && !failed; next = waiting.pop()) {
      try {
        await placer.place(next);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: Math.max(1, jobs) }, work));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  for (const artifact of artifacts.filter(isBase)) await placer.place(artifact);
}
