import { throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError, RetainedObject } from '@pgsilo/plugin';
import { backupFolder, notesFolder } from '../keys.ts';
import { listObjects, removeObjects } from '../objects.ts';
import type { PipelineSink } from '../pipeline.ts';
import { eachLimited } from '../pool.ts';
import type { EngineSession } from '../session.ts';

/** Backups whose manifests go in one call. */
const manifestsAtOnce = 100;
const keysAtOnce = 1000;
const listsAtOnce = 8;

/** A backup to remove from a sink. */
export interface Removal {
  readonly unitKey: string;
  readonly backup: string;
  readonly requires: readonly string[];
}

/** What became of it. */
export type Removed =
  /** It is listed no more. With an error its other objects are still there, for a later prune to sweep. */
  | {
      readonly outcome: 'removed';
      readonly retained: readonly RetainedObject[];
      readonly error?: PgsiloError;
    }
  /** It stays listed, and so does what it requires: the store keeps its manifest. */
  | { readonly outcome: 'retained'; readonly until: Date | undefined }
  /** A backup that needs it is still listed. */
  | { readonly outcome: 'required'; readonly by: string }
  | { readonly outcome: 'failed'; readonly error: PgsiloError };

/**
 * Removes backups of one unit from a sink: of each its manifest first, then its other objects, then its notes; one that others require after those others.
 * So whenever this is interrupted, all that is listed can be restored. Failures are in the result; throws only when the session is aborted.
 */
export async function removeBackups(
  session: EngineSession,
  sink: PipelineSink,
  removals: readonly Removal[],
): Promise<ReadonlyMap<string, Removed>> {
  const results = new Map<string, Removed>();
  for (let pending = removals; pending.length > 0;) {
    const { ready, waiting } = nextWave(pending);
    for (let start = 0; start < ready.length; start += manifestsAtOnce)
      await removeSome(session, sink, ready.slice(start, start + manifestsAtOnce), results);
    pending = releaseWaiting(waiting, ready, results);
  }
  return results;
}

/** Those that none of the others require. */
function nextWave(pending: readonly Removal[]): {
  readonly ready: readonly Removal[];
  readonly waiting: readonly Removal[];
} {
  const required = new Set(pending.flatMap(({ backup, requires }) => requires.filter((id) => id !== backup)));
  const ready = pending.filter(({ backup }) => !required.has(backup));
  // Backups that require each other in a circle can never be restored, whatever is removed first.
  if (ready.length === 0) return { ready: pending, waiting: [] };
  return { ready, waiting: pending.filter(({ backup }) => required.has(backup)) };
}

/** Takes out those that something needs which is still listed. */
function releaseWaiting(
  waiting: readonly Removal[],
  tried: readonly Removal[],
  results: Map<string, Removed>,
): readonly Removal[] {
  const listed = [...tried].filter(({ backup }) => results.get(backup)?.outcome !== 'removed');
  const kept = new Set<string>();
  for (const one of listed) {
    for (const other of waiting) {
      if (!one.requires.includes(other.backup) || kept.has(other.backup)) continue;
      kept.add(other.backup);
      results.set(other.backup, { outcome: 'required', by: one.backup });
      listed.push(other);
    }
  }
  return waiting.filter(({ backup }) => !kept.has(backup));
}

async function removeSome(
  session: EngineSession,
  sink: PipelineSink,
  removals: readonly Removal[],
  results: Map<string, Removed>,
): Promise<void> {
  const { name } = session.pipeline;
  const manifestOf = ({ unitKey, backup }: Removal): string =>
    `${backupFolder(name, unitKey, backup)}manifest.json`;
  let gone: readonly Removal[];
  try {
    const held = new Map(
      (await removeObjects(session, sink, removals.map(manifestOf))).map((object) => [object.key, object]),
    );
    gone = removals.filter((removal) => !held.has(manifestOf(removal)));
    for (const removal of removals) {
      const object = held.get(manifestOf(removal));
      if (object) results.set(removal.backup, { outcome: 'retained', until: object.until });
    }
  } catch (thrown) {
    throwIfAborted(session.signal);
    const error = toPgsiloError(thrown, 'sink.failed');
    for (const { backup } of removals) results.set(backup, { outcome: 'failed', error });
    return;
  }
  try {
    const retained = await removeRest(session, sink, gone);
    for (const { unitKey, backup } of gone) {
      const folder = backupFolder(name, unitKey, backup);
      const own = retained.filter(({ key }) => key.startsWith(folder));
      results.set(backup, { outcome: 'removed', retained: own });
    }
  } catch (thrown) {
    throwIfAborted(session.signal);
    const error = toPgsiloError(thrown, 'sink.failed');
    for (const { backup } of gone) results.set(backup, { outcome: 'removed', retained: [], error });
  }
}

/** What is left of backups without a manifest: first their objects, then their notes. */
async function removeRest(
  session: EngineSession,
  sink: PipelineSink,
  gone: readonly Removal[],
): Promise<readonly RetainedObject[]> {
  const { name } = session.pipeline;
  const retained: RetainedObject[] = [];
  for (const folderOf of [backupFolder, notesFolder]) {
    const keys: string[] = [];
    await eachLimited(gone, listsAtOnce, async ({ unitKey, backup }) => {
      keys.push(...(await keysIn(session, sink, folderOf(name, unitKey, backup))));
    });
    retained.push(...(await removeKeys(session, sink, keys.filter(isNoEvidence))));
  }
  return retained;
}

/** A destruction is told of also when nothing else of the backup is left. */
export function isNoEvidence(key: string): boolean {
  return !key.endsWith('-destroyed.json');
}

export async function keysIn(
  session: EngineSession,
  sink: PipelineSink,
  prefix: string,
): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of listObjects(session, sink, prefix)) keys.push(key);
  return keys;
}

export async function removeKeys(
  session: EngineSession,
  sink: PipelineSink,
  keys: readonly string[],
): Promise<readonly RetainedObject[]> {
  const retained: RetainedObject[] = [];
  for (let start = 0; start < keys.length; start += keysAtOnce)
    retained.push(...(await removeObjects(session, sink, keys.slice(start, start + keysAtOnce))));
  return retained;
}
