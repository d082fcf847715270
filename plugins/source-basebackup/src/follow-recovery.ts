import type { ChildProcess } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@pgsilo/plugin';
import { isServerReady } from '@pgsilo/postgres';

/** How a server's recovery went: it takes connections, it ended, nothing moved any more, or it was no longer wanted. */
export type Course = 'ready' | 'ended' | 'stalled' | 'aborted';

export interface Followed {
  readonly child: ChildProcess;
  /** PostgreSQL's `data_directory`. */
  readonly data: string;
  /** File that the server writes its log into. */
  readonly log: string;
  /** Files of write-ahead log that were brought so far. */
  brought(): number;
  /** Milliseconds without a sign of progress that are given. */
  readonly patience: number;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

const lookEvery = 100;
const tellEvery = 30_000;

/** Watches a server until its recovery is over. Signs of progress: a file of log that was brought, a checkpoint, and what the server says of itself, the time that goes by not counted. */
export async function followRecovery(followed: Followed): Promise<Course> {
  const { child, data, patience, signal, logger, brought } = followed;
  let mark = '';
  let since = Date.now();
  let told = Date.now();
  for (;;) {
    if (signal.aborted) return 'aborted';
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return 'ended';
    if (await isServerReady(data, child.pid)) return 'ready';
    const words = await readFile(followed.log, 'utf8').catch(() => '');
    const now = `${brought()} ${await changedAt(join(data, 'global', 'pg_control'))} ${signsIn(words)}`;
    if (now !== mark) [mark, since] = [now, Date.now()];
    if (Date.now() - since > patience) return 'stalled';
    if (Date.now() - told > tellEvery) {
      told = Date.now();
      const lsn = [...words.matchAll(/current LSN: ([0-9A-F]+\/[0-9A-F]+)/g)].at(-1)?.[1];
      logger.info('the server recovers', { files: brought(), ...(lsn === undefined ? {} : { lsn }) });
    }
    await sleep(lookEvery);
  }
}

/** What a log says, less what only tells that time goes by: the same line again with another time in it. */
export function signsIn(log: string): string {
  const lines = log
    .split('\n')
    .map((line) => line.replace(/^.*?\[\d+\] /, '').replace(/elapsed time: [\d.]+ s/, ''));
  return lines.filter((line, index) => line !== lines[index - 1]).join('\n');
}

async function changedAt(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
}
