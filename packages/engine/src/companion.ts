import type { BackupView } from '@pgsilo/plugin';
import { openBackup } from './backup-view.ts';
import { listPlaces, readManifestIn } from './catalog.ts';
import { runOf } from './keys.ts';
import type { Manifest } from './manifest.ts';
import type { PipelineSink } from './pipeline.ts';
import { isSafetyBackup } from './safety-label.ts';
import type { EngineSession } from './session.ts';

/**
 * The backup of another unit, in the same sink, that goes with the one of `manifest`: what the same run made; where that made none, as for a single unit or before a restore, the newest good one from before.
 * Undefined where there is neither. A manifest that cannot be used is an error: what is needed must not be passed over.
 */
export async function companionOf(
  session: EngineSession,
  sink: PipelineSink,
  manifest: Manifest,
  unit: string,
): Promise<BackupView | undefined> {
  const places = await listPlaces(session, [sink], unit);
  // Newest first: the last attempt of its job.
  const own = places.find(({ backup }) => runOf(backup) === runOf(manifest.backup));
  if (own) return openBackup(session, sink, await readManifestIn(session, sink, own)).view;
  for (const place of places) {
    // Ids begin with the time of their run.
    if (place.backup > manifest.backup) continue;
    const earlier = await readManifestIn(session, sink, place);
    if (earlier.status === 'good' && !isSafetyBackup(earlier)) return openBackup(session, sink, earlier).view;
  }
  return undefined;
}
