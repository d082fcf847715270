import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecoveryEnd } from '@pgsilo/plugin';
import { lastTransaction } from './recovery-log.ts';
import { parseHistory } from './timelines.ts';
import { positionOf, timelineDigits } from './wal-range.ts';

/**
 * Where a server stopped recovering that has begun a timeline of its own: the history of that says it exactly (`writeTimeLineHistory` in access/transam/timeline.c), its log the time of the last transaction.
 * Undefined where they say nothing of it.
 */
export async function readRecoveryEnd(data: string, log: string): Promise<RecoveryEnd | undefined> {
  const goesOnAs = Number(/selected new timeline ID: (\d+)/.exec(log)?.[1]);
  if (!Number.isInteger(goesOnAs)) return undefined;
  const path = join(data, 'pg_wal', `${timelineDigits(goesOnAs)}.history`);
  const left = parseHistory(await readFile(path, 'utf8'));
  const last = left.at(-1);
  if (!last) return undefined;
  // The last line names the timeline that was aimed at, also where recovery stopped before that began.
  const on = left.find(({ lsn }) => positionOf(lsn) >= positionOf(last.lsn))!;
  const time = lastTransaction(log);
  return {
    timeline: on.timeline,
    lsn: last.lsn,
    ...(time === undefined ? {} : { lastTransaction: time }),
    why: last.why,
    goesOnAs,
  };
}
