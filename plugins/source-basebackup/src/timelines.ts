import {
  PgsiloError,
  type JsonObject,
  type LogArchive,
  type RecoveryGoal,
  type TimelineChoice,
} from '@pgsilo/plugin';
import { positionOf, timelineDigits } from './wal-range.ts';

/** The part of the log that a server goes through on one timeline. */
export interface Stretch {
  readonly timeline: number;
  /** The first position on it. */
  readonly begin: bigint;
  /** Where the next timeline began; undefined: it goes on. */
  readonly end: bigint | undefined;
}

/** Each timeline that was begun, with its position, as its `.history` file writes it (access/transam/timeline.c). */
const historyLine = /^\s*(\d+)\s+([0-9A-F]{1,8}\/[0-9A-F]{1,8})\b\s*(.*)$/i;

/** A timeline that another one came from, where it was left, and why, in the server's words. */
export interface LeftTimeline {
  readonly timeline: number;
  readonly lsn: string;
  readonly why: string;
}

/** What a `.history` file says, the oldest first. */
export function parseHistory(text: string): readonly LeftTimeline[] {
  return text.split('\n').flatMap((line) => {
    const [, timeline, lsn, why] = historyLine.exec(line) ?? [];
    return timeline === undefined ? [] : [{ timeline: Number(timeline), lsn: lsn!, why: why!.trim() }];
  });
}

/** What a timeline goes through, the oldest first. Undefined where its history was not archived; the first has none. */
export async function lineageOf(
  timeline: number,
  archive: Pick<LogArchive, 'read'>,
): Promise<readonly Stretch[] | undefined> {
  const stretches: Stretch[] = [];
  let begin = 0n;
  if (timeline > 1) {
    const text = await archive.read(`${timelineDigits(timeline)}.history`);
    if (!text) return undefined;
    for (const { timeline: parent, lsn } of parseHistory(Buffer.from(text).toString())) {
      const end = positionOf(lsn);
      stretches.push({ timeline: parent, begin, end });
      begin = end;
    }
  }
  return [...stretches, { timeline, begin, end: undefined }];
}

/** The number of the timeline that is meant. The newest is looked for as PostgreSQL does: one after another, until one has no history. */
export async function chosenTimeline(
  choice: TimelineChoice,
  own: number,
  archive: Pick<LogArchive, 'read'>,
): Promise<number> {
  if (choice === 'current') return own;
  if (choice !== 'latest') return choice;
  let newest = own;
  while ((await archive.read(`${timelineDigits(newest + 1)}.history`)) !== undefined) newest += 1;
  return newest;
}

/** See `WalFiles.obstacle`. */
export async function obstacleTo(
  { snapshotAt, about }: { readonly snapshotAt: string; readonly about: JsonObject },
  { point, timeline: choice }: RecoveryGoal,
  archive: LogArchive,
): Promise<string | undefined> {
  const { timeline: own, stopLsn: stop } = about;
  if (point.kind === 'immediate' || typeof own !== 'number' || typeof stop !== 'string') return undefined;
  if (point.kind === 'time' && new Date(snapshotAt) > new Date(point.at))
    return `is of ${snapshotAt}, after ${point.at}`;
  if (point.kind === 'lsn' && positionOf(point.lsn) < positionOf(stop))
    return `ends at ${stop}, behind position ${point.lsn}`;
  const wanted = await chosenTimeline(choice, own, archive);
  if (wanted === own) return undefined;
  const lineage = await lineageOf(wanted, archive);
  if (!lineage) throw unknownTimeline(wanted);
  const stretch = lineage.find(({ timeline }) => timeline === own);
  if (!stretch) return `is of timeline ${own}, from which timeline ${wanted} does not come`;
  if (stretch.end !== undefined && positionOf(stop) > stretch.end)
    return `ends at ${stop} on timeline ${own}, behind ${showPosition(stretch.end)}, where it was left for the way to timeline ${wanted}`;
  return undefined;
}

export function unknownTimeline(timeline: number): PgsiloError {
  return new PgsiloError(
    'restore.refused',
    `no timeline ${timeline} was archived: its history file is in no sink`,
    {
      hint: 'Name another (--timeline N, or current for that of the backup).',
    },
  );
}

/** As PostgreSQL writes it. */
export function showPosition(position: bigint): string {
  const part = (number: bigint): string => number.toString(16).toUpperCase();
  return `${part(position >> 32n)}/${part(position & 0xffff_ffffn)}`;
}
