import { describePoint, PgsiloError, type RecoveryTarget } from '@pgsilo/plugin';
import { plural } from '@pgsilo/postgres';
import { megabytes } from './target-folders.ts';
import { chosenTimeline, lineageOf, unknownTimeline, type Stretch } from './timelines.ts';
import { positionOf, segmentName, segmentNumber, timelineDigits, type WalRange } from './wal-range.ts';

/** What of the archived log a recovery may read. */
export interface LogPlan {
  /** At most, as it is replayed. */
  readonly bytes: number;
  /** For people, a sentence each. */
  readonly lines: readonly string[];
}

/**
 * Which log leads from the end of a backup to a goal, as far as names tell; all of it where only the server knows where the goal lies.
 * Throws `restore.refused` where what was archived does not reach a goal whose place is known, or has a gap before it.
 */
export async function planLog(wal: WalRange, recovery: RecoveryTarget): Promise<LogPlan> {
  const { point, archive } = recovery;
  if (point.kind === 'immediate') return { bytes: 0, lines: [] };
  const timeline = await chosenTimeline(recovery.timeline, wal.timeline, archive);
  const lineage = timeline === wal.timeline ? [alone(timeline)] : await lineageOf(timeline, archive);
  if (!lineage) throw unknownTimeline(timeline);
  const way = lineage.slice(lineage.findIndex((stretch) => stretch.timeline === wal.timeline));
  const stored = new Map<string, number>();
  for (const stretch of way)
    for (const { name, bytes } of await archive.list(timelineDigits(stretch.timeline)))
      stored.set(name, bytes);

  const size = BigInt(wal.segmentBytes);
  // What is before lies in the backup.
  const first = (positionOf(wal.stop) - 1n) / size + 1n;
  const goal = point.kind === 'lsn' ? positionOf(point.lsn) / size : undefined;
  const last = goal ?? newestOf(stored.keys(), way, wal.segmentBytes);
  const found: string[] = [];
  let gap: string | undefined;
  for (let number = first; number <= last && gap === undefined; number += 1n) {
    const names = namesOf(number, way, wal.segmentBytes);
    const name = names.find((one) => stored.has(one));
    if (name === undefined) gap = names[0]!;
    else found.push(name);
  }
  if (gap !== undefined && (goal !== undefined || point.kind === 'latest'))
    throw unreachable(recovery, gap, found);
  const bytes = found.length * wal.segmentBytes;
  const inStore = found.reduce((sum, name) => sum + (stored.get(name) ?? 0), 0);
  const upTo = `up to ${describePoint(point)}, on timeline ${timeline}`;
  const most = goal === undefined && point.kind !== 'latest' ? 'at most ' : '';
  const which =
    found.length === 0
      ? 'none of it from the sinks: nothing was archived behind the backup'
      : `${most}${plural(found.length, 'segment')} from the sinks, ${found[0]} to ${found.at(-1)}: ${megabytes(bytes)}, ${megabytes(inStore)} as stored`;
  return {
    bytes,
    lines: [
      `Replay write-ahead log from ${wal.start} ${upTo}: ${goal !== undefined && goal < first ? 'what is in the backup' : which}`,
      ...(gap === undefined
        ? []
        : [`CAREFUL: ${gap} was never archived, and what lies behind it cannot be reached from this backup`]),
    ],
  };
}

/** What a disk must have beside the files, for people. */
export function sayRoom(files: number, log: number, free: number, place: string): string {
  const careful = files + log > free ? 'CAREFUL: ' : '';
  return `${careful}Disk: ${megabytes(files)} for the files${log === 0 ? '' : `, and up to ${megabytes(log)} more for what the log writes`}; ${place} has ${megabytes(free)} left`;
}

const alone = (timeline: number): Stretch => ({ timeline, begin: 0n, end: undefined });

/** Names that a segment may have on the way, in the order in which PostgreSQL asks for them: that in which a timeline begins was copied into it. */
function namesOf(number: bigint, way: readonly Stretch[], segmentBytes: number): readonly string[] {
  const size = BigInt(segmentBytes);
  const at = way.findLastIndex(({ begin }) => begin / size <= number);
  const { timeline, begin } = way[Math.max(at, 0)]!;
  const older = at > 0 && begin / size === number ? [way[at - 1]!.timeline] : [];
  return [timeline, ...older].map((one) => segmentName(one, number, segmentBytes));
}

function newestOf(names: Iterable<string>, way: readonly Stretch[], segmentBytes: number): bigint {
  let newest = -1n;
  for (const name of names) {
    const number = segmentNumber(name, segmentBytes);
    if (number === undefined || number <= newest) continue;
    if (namesOf(number, way, segmentBytes).includes(name)) newest = number;
  }
  return newest;
}

function unreachable({ point }: RecoveryTarget, gap: string, found: readonly string[]): PgsiloError {
  const until =
    found.length === 0 ? 'nothing behind the backup was' : `it was without a gap up to ${found.at(-1)}`;
  return new PgsiloError(
    'restore.refused',
    `the write-ahead log that was archived does not reach ${describePoint(point)}: ${gap} is missing, ${until}`,
    { hint: 'Take what lies before it (--at, --lsn), another --timeline, or a backup behind it (--backup).' },
  );
}
