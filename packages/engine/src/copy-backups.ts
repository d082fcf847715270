import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { readManifestIn } from './catalog.ts';
import type { Place } from './catalog.ts';
import type { CopiedBackup } from './copy.ts';
import { copyDocument, copyObject } from './copy-object.ts';
import type { CopyRoute } from './copy-object.ts';
import { backupFolder, notesFolder } from './keys.ts';
import { listObjects } from './objects.ts';
import type { PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import type { EngineSession } from './session.ts';

const manifestsAtOnce = 16;

/** What is to be copied, by its manifests; one that cannot be read is a failure already. */
export async function describeAll(
  session: EngineSession,
  from: PipelineSink,
  places: readonly Place[],
): Promise<readonly CopiedBackup[]> {
  const lines: CopiedBackup[] = [];
  await eachLimited(places.entries(), manifestsAtOnce, async ([index, place]) => {
    lines[index] = await orFailed(session, place, async () => {
      const manifest = await readManifestIn(session, from, place);
      const bytes = manifest.artifacts.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
      return { unit: manifest.unit.name, backup: place.backup, status: 'lacking', bytes, sentBytes: 0 };
    });
  });
  return lines;
}

export interface CopyWork {
  readonly route: CopyRoute;
  /** Oldest first, so that what others require comes before them. */
  readonly places: readonly Place[];
  /** A line for each place. */
  readonly lacking: readonly CopiedBackup[];
  /** `<unit key>/<backup>` of what the target has. */
  readonly there: Set<string>;
  readonly width: number;
  readonly observe: ((line: CopiedBackup) => void) | undefined;
}

export async function copyAll(session: EngineSession, work: CopyWork): Promise<readonly CopiedBackup[]> {
  const { places, lacking, there, width, observe } = work;
  const lines = [...lacking];
  const done = new Map(places.map((place) => [nameOf(place), Promise.withResolvers<void>()]));
  await eachLimited(places.entries(), width, async ([index, place]) => {
    const line = lacking[index]!;
    if (line.status === 'lacking') {
      lines[index] = await orFailed(session, place, () =>
        copyOne(session, work, place, line, async (required) => {
          // It is older, so it was begun before; nobody waits in a circle.
          const other = `${place.unitKey}/${required}`;
          await done.get(other)?.promise;
          return there.has(other);
        }),
      );
      if (lines[index].status === 'copied') there.add(nameOf(place));
    }
    done.get(nameOf(place))!.resolve();
    observe?.(lines[index]!);
  });
  return lines;
}

async function copyOne(
  session: EngineSession,
  { route }: CopyWork,
  place: Place,
  line: CopiedBackup,
  isThere: (required: string) => Promise<boolean>,
): Promise<CopiedBackup> {
  const { name } = session.pipeline;
  const { unitKey, backup } = place;
  const manifest = await readManifestIn(session, route.from, place);
  for (const required of manifest.requires) {
    if (await isThere(required)) continue;
    throw new PgsiloError(
      'catalog.not-found',
      `${backup} needs ${required}, which sink ${route.to.name} lacks`,
      {
        hint: 'Copy that one too: without --since.',
      },
    );
  }
  const folder = backupFolder(name, unitKey, backup);
  let sentBytes = 0;
  for (const { key, storedBytes, storedSha256 } of manifest.artifacts) {
    const object = { key: folder + key, bytes: storedBytes, sha256: storedSha256 };
    sentBytes += await copyObject(session, route, object);
  }
  // Before the manifest: what is pinned must be so from its first moment.
  for await (const { key } of listObjects(session, route.from, notesFolder(name, unitKey, backup)))
    await copyDocument(session, route, key, 'note');
  await copyDocument(session, route, `${folder}manifest.json`, 'manifest');
  return { ...line, status: 'copied', sentBytes };
}

async function orFailed(
  session: EngineSession,
  { unitKey, backup }: Place,
  work: () => Promise<CopiedBackup>,
): Promise<CopiedBackup> {
  try {
    return await work();
  } catch (thrown) {
    throwIfAborted(session.signal);
    const error = toPgsiloError(thrown).toJSON();
    return { unit: unitKey, backup, status: 'failed', bytes: 0, sentBytes: 0, error };
  }
}

const nameOf = ({ unitKey, backup }: Place): string => `${unitKey}/${backup}`;
