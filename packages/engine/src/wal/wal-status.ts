import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { ArchiverState, WalFiles, WalSegments } from '@pgsilo/plugin';
import { listBackups } from '../catalog.ts';
import { listObjects } from '../objects.ts';
import type { Pipeline, PipelineSink } from '../pipeline.ts';
import { withSession, type EngineSession } from '../session.ts';
import { takeWalInventory, type WalInventory } from './wal-inventory.ts';
import { walFilePrefix } from './wal-keys.ts';
import { walSinks } from './wal-store.ts';
import { isCovered, reachOf, type Reach, type Stretch } from './wal-windows.ts';
import type { BaseBackup, WalSinkStatus, WalStatus, WalTimeline, WalWindow } from './wal-status-report.ts';

/** Gaps of a timeline that are named; the others are counted. */
const mostGaps = 100;
/** Segments of a gap that are looked for once more. */
const mostSought = 64;

interface Found {
  readonly sink: PipelineSink;
  readonly inventory: WalInventory;
}

/** What is archived, what is missing, to which moments the kept base backups can be brought, and how far behind the server's archiver is. Reads only. A server or sink that does not answer stands in the result. */
export function walStatus(pipeline: Pipeline, signal: AbortSignal): Promise<WalStatus> {
  return withSession(pipeline, signal, async (session) => {
    const wal = knownSegments(pipeline);
    const server = await stateOf(session);
    const given = 'state' in server ? server.state.segmentBytes : undefined;
    const segmentBytes = given ?? (await sizeByBackups(pipeline, wal, signal));
    const sinks = walSinks(pipeline);
    const found: (Found | WalSinkStatus)[] = [];
    for (const sink of sinks)
      try {
        found.push({ sink, inventory: await takeWalInventory(session, sink, wal, segmentBytes) });
      } catch (thrown) {
        throwIfAborted(signal);
        const error = toPgsiloError(thrown, 'sink.failed');
        if (sinks.length === 1) throw error;
        found.push({ sink: sink.name, timelines: [], windows: [], conflicts: [], unread: [], error });
      }
    // Behind the log: of a backup that is pruned meanwhile nothing may be found missing.
    const { backups, unreadable, unseen } = await keptBackups(pipeline, signal);
    const inventories = found.filter((one) => 'inventory' in one);
    const statuses: WalSinkStatus[] = [];
    for (const one of found)
      statuses.push(
        'inventory' in one ? await statusOf(session, wal, segmentBytes, one, inventories, backups) : one,
      );
    const broken = statuses.some(
      ({ error, windows }) => error ?? windows.some(({ gap }) => gap && !gap.elsewhere),
    );
    const failing = 'state' in server && server.state.failing;
    return {
      segmentBytes,
      server,
      sinks: statuses,
      ...('state' in server ? { behind: behind(server.state, wal, inventories) } : {}),
      unreadableBackups: unreadable,
      status: broken || failing || unseen > 0 ? 'failed' : 'ok',
    };
  });
}

type Known = WalFiles & { readonly segments: WalSegments };

function knownSegments({ source }: Pipeline): Known {
  const { wal } = source.source;
  if (wal?.segments) return wal as Known;
  throw new PgsiloError('usage.invalid', `${source.use} backs up no files, and keeps no write-ahead log`, {
    hint: 'It belongs to a pipeline whose source is basebackup.',
  });
}

async function stateOf(session: EngineSession): Promise<WalStatus['server']> {
  const { archiver } = session.pipeline.source.source;
  if (!archiver) return {};
  try {
    return { state: await archiver.state(session.context()) };
  } catch (thrown) {
    throwIfAborted(session.signal);
    return { error: toPgsiloError(thrown, 'source.failed') };
  }
}

async function sizeByBackups(pipeline: Pipeline, wal: Known, signal: AbortSignal): Promise<number> {
  for await (const { manifest } of listBackups(pipeline, { unseen: [], signal })) {
    const bytes = manifest && wal.segments.bytesOf(manifest.about);
    if (bytes !== undefined) return bytes;
  }
  return wal.segments.usualBytes;
}

async function keptBackups(
  pipeline: Pipeline,
  signal: AbortSignal,
): Promise<{ backups: readonly BaseBackup[]; unreadable: number; unseen: number }> {
  const backups: BaseBackup[] = [];
  const unseen: { sink: string; error: PgsiloError }[] = [];
  let unreadable = 0;
  for await (const { backup, sinks, manifest, keysDestroyed } of listBackups(pipeline, { unseen, signal })) {
    if (!manifest) unreadable += 1;
    else if (manifest.status === 'good' && !keysDestroyed)
      backups.push({ backup, sinks, snapshotAt: new Date(manifest.snapshotAt), about: manifest.about });
  }
  return { backups, unreadable, unseen: unseen.length };
}

async function statusOf(
  session: EngineSession,
  wal: Known,
  segmentBytes: number,
  { sink, inventory }: Found,
  all: readonly Found[],
  backups: readonly BaseBackup[],
): Promise<WalSinkStatus> {
  const { sets, histories, conflicts, unread } = inventory;
  const { segments } = wal;
  const named = ({ timeline, from, to }: Stretch): { first: string; last: string; segments: number } => ({
    first: segments.nameOf(timeline, from, segmentBytes),
    last: segments.nameOf(timeline, to, segmentBytes),
    segments: to - from + 1,
  });
  const others = all.filter((one) => one.sink !== sink).map((one) => one.inventory.sets);
  const times = new Map<string, Date | undefined>();
  const windows: WalWindow[] = [];
  // Many backups have the same end: what was found out of it holds for all.
  for (const { backup, sinks, snapshotAt, about } of backups) {
    if (!sinks.includes(sink.name)) continue;
    const way = segments.way(about, segmentBytes, histories);
    if (!way) {
      windows.push({ backup, from: snapshotAt, unknown: true });
      continue;
    }
    let reach = reachOf(way, sets);
    // A list is no picture of one moment: a segment that was stored while it went on may have been passed by.
    while (reach.gap && (await seek(session, wal, segmentBytes, sink, reach, inventory)))
      reach = reachOf(way, sets);
    const last = reach.last && segments.nameOf(reach.last.timeline, reach.last.number, segmentBytes);
    if (last !== undefined && !times.has(last)) times.set(last, await timeOf(session, wal, sink, last));
    const until = last === undefined ? undefined : times.get(last);
    windows.push({
      backup,
      from: snapshotAt,
      ...(last === undefined ? {} : { last }),
      ...(until ? { until } : {}),
      ...(reach.gap ? { gap: { ...named(reach.gap), elsewhere: isCovered(reach.gap, others) } } : {}),
    });
  }
  const timelines = [...sets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([timeline, { runs, count }]) => {
      if (count === 0) return [];
      const gaps: Stretch[] = [];
      for (let at = 1; at < runs.length && gaps.length < mostGaps; at += 1)
        gaps.push({ timeline, from: runs[at - 1]!.to + 1, to: runs[at]!.from - 1 });
      const whole = { timeline, from: runs[0]!.from, to: runs.at(-1)!.to };
      const { first, last, segments: span } = named(whole);
      const about: WalTimeline = {
        timeline,
        first,
        last,
        segments: count,
        bytes: inventory.bytes.get(timeline)!,
        missing: span - count,
        gaps: gaps.map(named),
      };
      return [about];
    });
  return { sink: sink.name, timelines, windows, conflicts, unread };
}

/** @returns whether one of the missing ones is there after all. */
async function seek(
  session: EngineSession,
  { segments, classify }: Known,
  segmentBytes: number,
  sink: PipelineSink,
  { gap }: Reach,
  { sets, bytes, conflicts }: WalInventory,
): Promise<boolean> {
  const { timeline, from, to } = gap!;
  if (to - from >= mostSought) return false;
  let found = false;
  for (let number = from; number <= to; number += 1) {
    const name = segments.nameOf(timeline, number, segmentBytes);
    const prefix = walFilePrefix(session.pipeline.name, classify(name)!.timeline, name);
    if (conflicts.includes(name)) continue;
    for await (const object of listObjects(session, sink, prefix)) {
      if (!sets.get(timeline)?.add(number)) continue;
      bytes.set(timeline, (bytes.get(timeline) ?? 0) + object.bytes);
      found = true;
    }
  }
  return found;
}

async function timeOf(
  session: EngineSession,
  { classify }: Known,
  sink: PipelineSink,
  name: string,
): Promise<Date | undefined> {
  let time: Date | undefined;
  const prefix = walFilePrefix(session.pipeline.name, classify(name)!.timeline, name);
  for await (const { modified } of listObjects(session, sink, prefix)) time ??= modified;
  return time;
}

/** By the sink that is furthest behind of those that are required. */
function behind(
  state: ArchiverState,
  { segments }: Known,
  found: readonly Found[],
): NonNullable<WalStatus['behind']> {
  const { segmentBytes, segment, written, timeline } = state;
  const newest = found
    .filter(({ sink }) => sink.required)
    .map(({ inventory }) => inventory.sets.get(timeline)?.runs.at(-1)?.to ?? -1)
    .reduce((least, one) => Math.min(least, one), Infinity);
  const { waiting, disk, mode, configured, failing } = state;
  // What waits was written since the oldest of it: no other rate tells as well how fast the disk fills.
  const { files = 0, age = 0 } = waiting ?? {};
  const rate = age > 1000 ? (files * segmentBytes) / age : 0;
  const filling = failing || (mode !== 'off' && !configured);
  const known = Number.isFinite(newest) && newest >= 0;
  return {
    ...(known
      ? {
          newest: segments.nameOf(timeline, newest, segmentBytes),
          segments: Math.max(0, segment - newest - 1),
          bytes: Math.max(0, (segment - newest - 1) * segmentBytes + written),
        }
      : {}),
    ...(waiting?.age === undefined ? {} : { oldestWaiting: age }),
    ...(filling && disk && rate > 0 ? { full: disk.free / rate } : {}),
  };
}
