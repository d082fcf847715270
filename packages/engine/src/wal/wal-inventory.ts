import { isPgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { WalFiles, WalSegments } from '@pgsilo/plugin';
import { listObjects } from '../objects.ts';
import type { PipelineSink } from '../pipeline.ts';
import type { EngineSession } from '../session.ts';
import { SegmentSet } from './segment-set.ts';
import { decodedWal } from './wal-decode.ts';
import { walPrefix } from './wal-keys.ts';
import { findWal, walNameOf } from './wal-store.ts';

/** The log that lies in one sink. Its size goes by timelines and gaps, not by segments. */
export interface WalInventory {
  /** Whole segments, by timeline. */
  readonly sets: Map<string, SegmentSet>;
  /** Stored bytes of the segments, by timeline. */
  readonly bytes: Map<string, number>;
  /** Texts of history files, by timeline. */
  readonly histories: ReadonlyMap<string, string>;
  /** Names of history files that cannot be read here: a host that only encrypts has no key for them. */
  readonly unread: readonly string[];
  /** Names of segments that are there with two contents. They are no part of the sets: recovery stops at them. */
  readonly conflicts: readonly string[];
}

/** Names that are kept because they were there twice. */
const mostTwice = 1000;
/** Bytes of a history file: a line for each timeline. */
const longestHistory = 2 ** 20;

/** Lists all of it, once. Throws what the sink throws. */
export async function takeWalInventory(
  session: EngineSession,
  sink: PipelineSink,
  wal: WalFiles & { readonly segments: WalSegments },
  segmentBytes: number,
): Promise<WalInventory> {
  const sets = new Map<string, SegmentSet>();
  const bytes = new Map<string, number>();
  const twice: string[] = [];
  const notes: string[] = [];
  for await (const found of listObjects(session, sink, walPrefix(session.pipeline.name))) {
    const name = walNameOf(wal, session.pipeline.name, found.key, found.bytes);
    if (name === undefined) continue;
    if (name.endsWith('.history')) notes.push(name);
    const number = wal.segments.numberOf(name, segmentBytes);
    if (number === undefined) continue;
    const { timeline } = wal.classify(name)!;
    let set = sets.get(timeline);
    if (!set) sets.set(timeline, (set = new SegmentSet()));
    bytes.set(timeline, (bytes.get(timeline) ?? 0) + found.bytes);
    if (!set.add(number) && twice.length < mostTwice) twice.push(name);
  }
  const conflicts: string[] = [];
  for (const name of new Set(twice)) {
    const file = wal.classify(name)!;
    const objects = await findWal(session, sink, file);
    // After a change of the transforms one content may lie there in two forms.
    if (new Set(objects.map(({ hash }) => hash)).size < 2) continue;
    conflicts.push(name);
    sets.get(file.timeline)!.delete(wal.segments.numberOf(name, segmentBytes)!);
  }
  const histories = new Map<string, string>();
  const unread: string[] = [];
  for (const name of new Set(notes)) {
    const text = await readHistory(session, sink, wal, name);
    if (text === undefined) unread.push(name);
    else histories.set(wal.classify(name)!.timeline, text);
  }
  return { sets, bytes, histories, unread, conflicts };
}

async function readHistory(
  session: EngineSession,
  sink: PipelineSink,
  wal: WalFiles,
  name: string,
): Promise<string | undefined> {
  const [object] = await findWal(session, sink, wal.classify(name)!);
  if (!object) return undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of decodedWal(session, sink, object)) {
      bytes += chunk.byteLength;
      if (bytes > longestHistory) return undefined;
      chunks.push(chunk);
    }
  } catch (error) {
    throwIfAborted(session.signal);
    if (isPgsiloError(error) && /^(transform|plugin)\.|^sink\.corrupt$/.test(error.code)) return undefined;
    throw error;
  }
  return Buffer.concat(chunks).toString('utf8');
}
