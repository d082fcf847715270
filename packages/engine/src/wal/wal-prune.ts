import { throwIfAborted } from '@pgsilo/plugin';
import type { RetainedObject } from '@pgsilo/plugin';
import { listObjects, removeObjects } from '../objects.ts';
import type { PipelineSink } from '../pipeline.ts';
import type { EngineSession } from '../session.ts';
import { walPrefix } from './wal-keys.ts';
import type { WalNeed } from './wal-needs.ts';
import { walNameOf } from './wal-store.ts';

/** What became of the write-ahead log of one sink, in objects. */
export interface PrunedWal {
  readonly kept: number;
  /** Of a dry run: how many would be. */
  readonly removed: number;
  /** Stored bytes of the removed ones. */
  readonly bytes: number;
  /** How many of those that are needed no longer the store does not give up yet. */
  readonly retained: number;
  /** Until when it retains them, at the latest; missing where that has no end, or there are none. */
  readonly until?: Date;
  /** Of the kept ones: how many are no files of the log, so that nothing is said about them. */
  readonly unknown: number;
  /** Why all of it is kept. */
  readonly held?: string;
}

/** Objects removed in one call; no more than these are in memory. */
const keysAtOnce = 1000;

/**
 * Removes from a sink the write-ahead log that none of its kept backups needs. Throws what the sink throws: whatever was removed until then was not needed.
 * @param need what is needed; in words, why everything is.
 * @param dryRun only counts.
 */
export async function pruneWal(
  session: EngineSession,
  sink: PipelineSink,
  need: WalNeed | string,
  dryRun: boolean,
): Promise<PrunedWal> {
  const { name, source } = session.pipeline;
  const wal = source.source.wal!;
  const sums = { kept: 0, removed: 0, bytes: 0, retained: 0, unknown: 0 };
  const retained = new Latest();
  const held = typeof need === 'string' ? need : undefined;
  let batch = new Map<string, number>();
  const flush = async (): Promise<void> => {
    throwIfAborted(session.signal);
    const refused = dryRun ? [] : await removeObjects(session, sink, [...batch.keys()]);
    for (const object of refused) {
      batch.delete(object.key);
      retained.take(object);
    }
    sums.retained += refused.length;
    sums.removed += batch.size;
    for (const bytes of batch.values()) sums.bytes += bytes;
    batch = new Map();
  };
  for await (const { key, bytes, modified } of listObjects(session, sink, walPrefix(name))) {
    const file = walNameOf(wal, name, key, bytes);
    if (file === undefined) sums.unknown += 1;
    const expired =
      file !== undefined &&
      typeof need !== 'string' &&
      modified < need.before &&
      wal.isExpired?.(file, need.firsts) === true;
    if (!expired) sums.kept += 1;
    else batch.set(key, bytes);
    if (batch.size >= keysAtOnce) await flush();
  }
  await flush();
  return {
    ...sums,
    ...(retained.until ? { until: retained.until } : {}),
    ...(held !== undefined && sums.kept > 0 ? { held } : {}),
  };
}

/** The latest end of what is retained. */
class Latest {
  until: Date | undefined;
  #endless = false;

  take({ until }: RetainedObject): void {
    if (until === undefined) this.#endless = true;
    if (this.#endless || until === undefined) this.until = undefined;
    else if (this.until === undefined || until > this.until) this.until = until;
  }
}
