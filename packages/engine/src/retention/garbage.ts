import { throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError, RetainedObject } from '@pgsilo/plugin';
import { backupFolder, encodeUnit, notesFolder, notesPrefix } from '../keys.ts';
import { runBeginKey, runOf, runsPrefix, timeOfId } from '../keys.ts';
import { getDocument, listObjects } from '../objects.ts';
import type { PipelineSink } from '../pipeline.ts';
import { eachLimited } from '../pool.ts';
import { readRunBegin } from '../run-records.ts';
import type { EngineSession } from '../session.ts';
import type { Inventories } from './inventory.ts';
import { isNoEvidence, keysIn, removeKeys } from './remove.ts';

/** Milliseconds for which what a run left is taken for its work in progress. */
const workInProgress = 7 * 86_400_000;
const foldersAtOnce = 8;

export interface Garbage {
  readonly objects: number;
  readonly retained: readonly RetainedObject[];
}

/**
 * Removes from a sink what belongs to no backup: objects without a manifest, and notes about backups that no sink has, unless a run may still be at work on them.
 * Safe beside a running backup, whose begin marker is written before any of its objects: the inventory was taken first, markers are read after it, and before anything is removed its folder is looked at again.
 * @param dryRun only counts.
 */
export async function removeGarbage(
  session: EngineSession,
  sink: PipelineSink,
  inventories: Inventories,
  dryRun: boolean,
): Promise<Garbage> {
  const { name } = session.pipeline;
  const candidates = [
    ...foldersWithoutManifest(inventories, sink),
    ...(await notesOfNothing(session, sink, inventories)),
  ];
  if (candidates.length === 0) return { objects: 0, retained: [] };
  const mayBeAtWork = await runsAtWork(session, sink);
  const garbage = candidates.filter((place) => !mayBeAtWork(place));
  const retained: RetainedObject[] = [];
  let objects = 0;
  await eachLimited(garbage, foldersAtOnce, async ({ unitKey, backup }) => {
    const bodies = await keysIn(session, sink, backupFolder(name, unitKey, backup));
    if (bodies.some((key) => key.endsWith('/manifest.json'))) return;
    const notes = mayBeListed(inventories, unitKey, backup)
      ? []
      : await keysIn(session, sink, notesFolder(name, unitKey, backup));
    const keys = [...bodies, ...notes.filter(isNoEvidence)];
    const held = dryRun ? [] : await removeKeys(session, sink, keys);
    retained.push(...held);
    objects += keys.length - held.length;
  });
  return { objects, retained };
}

interface Folder {
  readonly unitKey: string;
  readonly backup: string;
}

function foldersWithoutManifest({ of }: Inventories, sink: PipelineSink): readonly Folder[] {
  return [...of.get(sink)!].flatMap(([unitKey, folders]) =>
    [...folders].flatMap(([backup, { manifest }]) => (manifest ? [] : [{ unitKey, backup }])),
  );
}

async function notesOfNothing(
  session: EngineSession,
  sink: PipelineSink,
  inventories: Inventories,
): Promise<readonly Folder[]> {
  if (inventories.failed.size > 0) return [];
  const prefix = notesPrefix(session.pipeline.name);
  const found = new Map<string, Folder>();
  for await (const { key } of listObjects(session, sink, prefix)) {
    const [unitKey = '', backup = ''] = key.slice(prefix.length).split('/');
    const folder = inventories.of.get(sink)!.get(unitKey)?.get(backup);
    if (folder || mayBeListed(inventories, unitKey, backup) || !isNoEvidence(key)) continue;
    found.set(`${unitKey}/${backup}`, { unitKey, backup });
  }
  return [...found.values()];
}

/** Whether some sink holds the backup; one that could not be listed may. */
function mayBeListed({ of, failed }: Inventories, unitKey: string, backup: string): boolean {
  if (failed.size > 0) return true;
  return [...of.values()].some((inventory) => inventory.get(unitKey)?.get(backup)?.manifest === true);
}

/** Tells of a folder whether a run may still write to it: one that began within seven days, or one that has not ended and works on the same unit. */
async function runsAtWork(session: EngineSession, sink: PipelineSink): Promise<(folder: Folder) => boolean> {
  const { name, clock } = session.pipeline;
  const since = clock.now().getTime() - workInProgress;
  const prefix = runsPrefix(name);
  const young = new Set<string>();
  const ended = new Set<string>();
  for await (const { key } of listObjects(session, sink, prefix)) {
    const file = key.slice(prefix.length);
    const run = file.replace(/(?:\.begin)?\.json$/, '');
    if (!file.endsWith('.begin.json')) ended.add(run);
    // Not "younger than": an id that holds no time is left alone.
    else if (!(timeOfId(run) < since)) young.add(run);
  }
  const open = [...young].filter((run) => !ended.has(run));
  const units = new Set<string>();
  let anyUnit = false;
  await eachLimited(open, foldersAtOnce, async (run) => {
    const key = runBeginKey(name, run);
    try {
      for (const unit of readRunBegin(await getDocument(session, sink, key), key).units)
        units.add(encodeUnit(unit));
    } catch (thrown) {
      throwIfAborted(session.signal);
      anyUnit = true;
      warnUnread(session, sink, key, toPgsiloError(thrown));
    }
  });
  return ({ unitKey, backup }) => anyUnit || units.has(unitKey) || young.has(runOf(backup));
}

function warnUnread(session: EngineSession, sink: PipelineSink, key: string, error: PgsiloError): void {
  session.pipeline.log.warn('garbage is not swept while a run may be at work whose marker cannot be read', {
    sink: sink.name,
    key,
    error: error.message,
  });
}
