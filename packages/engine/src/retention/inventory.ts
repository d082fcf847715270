import { throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError } from '@pgsilo/plugin';
import { Interned } from '../interned.ts';
import { parseUnitObject, unitsPrefix } from '../keys.ts';
import { listObjects } from '../objects.ts';
import type { PipelineSink } from '../pipeline.ts';
import type { EngineSession } from '../session.ts';

/** What lies under one backup's prefix in one sink. */
export interface Folder {
  /** Without it, it is no backup. */
  manifest: boolean;
  objects: number;
  bytes: number;
}

/** Folders by unit's key and backup's id. */
export type Inventory = ReadonlyMap<string, ReadonlyMap<string, Folder>>;

export interface Inventories {
  readonly of: ReadonlyMap<PipelineSink, Inventory>;
  /** Sinks that could not be listed, and why. */
  readonly failed: ReadonlyMap<PipelineSink, PgsiloError>;
}

/**
 * Lists every sink. One that cannot be listed is left out, and nothing is done to it; when none can, the first one's error is thrown.
 * Holds one small record per backup and sink.
 */
export async function takeInventories(session: EngineSession): Promise<Inventories> {
  const of = new Map<PipelineSink, Inventory>();
  const failed = new Map<PipelineSink, PgsiloError>();
  const strings = new Interned();
  await Promise.all(
    session.pipeline.sinks.map(async (sink) => {
      try {
        of.set(sink, await takeInventory(session, sink, strings));
      } catch (error) {
        throwIfAborted(session.signal);
        failed.set(sink, toPgsiloError(error, 'sink.failed'));
      }
    }),
  );
  if (of.size === 0) throw [...failed.values()][0]!;
  return { of, failed };
}

async function takeInventory(
  session: EngineSession,
  sink: PipelineSink,
  strings: Interned,
): Promise<Inventory> {
  const { name } = session.pipeline;
  const units = new Map<string, Map<string, Folder>>();
  for await (const { key, bytes } of listObjects(session, sink, unitsPrefix(name))) {
    const parsed = parseUnitObject(name, key);
    if (!parsed) continue;
    const [unitKey, backup] = [strings.get(parsed.unitKey), strings.get(parsed.backup)];
    let folders = units.get(unitKey);
    if (!folders) units.set(unitKey, (folders = new Map<string, Folder>()));
    let folder = folders.get(backup);
    if (!folder) folders.set(backup, (folder = { manifest: false, objects: 0, bytes: 0 }));
    folder.objects += 1;
    folder.bytes += bytes;
    if (parsed.file === 'manifest.json') folder.manifest = true;
  }
  return units;
}
