import type { BackupView } from '@pgsilo/plugin';
import { openBackup } from './backup-view.ts';
import { listPlaces, readManifestIn } from './catalog.ts';
import { runOf } from './keys.ts';
import type { Manifest } from './manifest.ts';
import type { PipelineSink } from './pipeline.ts';
import type { EngineSession } from './session.ts';

/** The backup of another unit that the run of `manifest` made, in the same sink; undefined where it has none. A manifest that cannot be used is an error: what is needed must not be passed over. */
export async function companionOf(
  session: EngineSession,
  sink: PipelineSink,
  manifest: Manifest,
  unit: string,
): Promise<BackupView | undefined> {
  const places = await listPlaces(session, [sink], unit);
  // Newest first: the last attempt of its job.
  const place = places.find(({ backup }) => runOf(backup) === runOf(manifest.backup));
  if (!place) return undefined;
  return openBackup(session, sink, await readManifestIn(session, sink, place)).view;
}
