import { spawn, type ChildProcess } from 'node:child_process';
import { chown, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  abortReason,
  PgsiloError,
  type Context,
  type RecoveryPoint,
  type RecoveryTarget,
  type StartedServer,
} from '@pgsilo/plugin';
import { serverEnvironment } from '@pgsilo/postgres';
import { followRecovery } from './follow-recovery.ts';
import { feedCommand, LogFeed } from './log-feed.ts';
import { readRecoveryEnd } from './recovery-end.ts';
import { socketFits } from './lock-down.ts';
import { notRecovered } from './recovery-log.ts';
import type { TargetFolder } from './target-folders.ts';
import { needsLog } from './target-settings.ts';

/** A restored, locked-down data directory that is to be started. */
export interface Startable {
  /** Folder of `postgres`. */
  readonly bin: string;
  /** PostgreSQL's `data_directory`. */
  readonly data: string;
  /** Whose server it is; undefined: ours. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly recovery: RecoveryTarget | undefined;
  readonly segmentBytes: number;
}

/** A server that shows no sign of progress for so long is ended, in milliseconds. */
export const patience: number = 15 * 60_000;

/** Beside the files of the server, in its folder. */
const logName = 'pgsilo-start.log';
const feedName = 'pgsilo-log';
const wordsKept = 2000;
const endTimeout = 30_000;

/**
 * How it is told apart from one that is started by hand: its log is read, so it must be in words that are known, wherever the old server's went; and nobody is let in before it is where it was wanted, for what would be seen is an older state.
 * Nor does it pause then where the old server's limits were raised since.
 */
const settings = {
  hot_standby: 'off',
  lc_messages: 'C',
  log_destination: 'stderr',
  log_error_verbosity: 'default',
  log_line_prefix: '%m [%p] ',
  log_min_messages: 'warning',
  log_startup_progress_interval: '5s',
  log_timezone: 'UTC',
};

/** Throws `restore.refused` for a folder in which no server can be started, or reached. */
export function requireStartable({ path, owner }: TargetFolder): void {
  if (owner?.uid === 0)
    throw new PgsiloError(
      'restore.refused',
      `the files would belong to root, as what ${path} lies in does, and PostgreSQL does not run as root`,
      {
        hint: 'Make the folder first, empty, for the user of the server: install -d -m 700 -o postgres DIR.',
      },
    );
  if (!socketFits(path))
    throw new PgsiloError('restore.refused', `${path} is too long a path for a server's socket in it`, {
      hint: 'Choose a shorter one, or leave --start out.',
    });
}

/**
 * Starts it, brings it the log that it asks for, and waits until it has recovered. The server then outlives us.
 * Throws `restore.failed` when it does not come to its goal; it is ended then, and its files stay. So they do when the signal aborts.
 */
export async function startRestored(
  server: Startable,
  { signal, log: logger }: Pick<Context, 'signal' | 'log'>,
  given: number = patience,
): Promise<StartedServer> {
  const { data, owner, recovery, segmentBytes } = server;
  const log = join(data, logName);
  const folder = join(data, feedName);
  let feed: LogFeed | undefined;
  let child: ChildProcess | undefined;
  let left = false;
  try {
    if (needsLog(recovery)) {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { mode: 0o700 });
      if (owner) await chown(folder, owner.uid, owner.gid);
      feed = new LogFeed(folder, recovery, { segmentBytes, owner, signal });
      await feed.start();
    }
    child = await launch(server, log, feed ? { restore_command: feedCommand(feedName) } : {});
    const course = await followRecovery({
      child,
      data,
      log,
      brought: () => feed?.files ?? 0,
      patience: given,
      signal,
      logger,
    });
    const words = await readFile(log, 'utf8').catch(() => '');
    if (course === 'aborted') {
      logger.warn(`the restored server was ended before it had recovered; its files stay in ${data}`);
      throw abortReason(signal);
    }
    if (course === 'stalled') throw stalled(data, words, given);
    if (course === 'ended')
      throw ended(
        data,
        feed?.failure ?? notRecovered(words.slice(-wordsKept), recovery?.point),
        recovery?.point,
      );
    const end = await readRecoveryEnd(data, words);
    const [pid, , , port, socket] = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n');
    left = true;
    child.unref();
    return {
      pid: Number(pid),
      port: Number(port),
      socketFolder: socket!.trim(),
      log,
      files: feed?.files ?? 0,
      ...(end ? { end } : {}),
    };
  } finally {
    if (child && !left) await endServer(child);
    await feed?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function launch(
  { bin, data, owner }: Startable,
  log: string,
  more: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  await rm(log, { force: true });
  const output = await open(log, 'wx', 0o600);
  try {
    if (owner) await output.chown(owner.uid, owner.gid);
    const told = Object.entries({ ...settings, ...more }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ]);
    const child = spawn(join(bin, 'postgres'), ['-D', data, ...told], {
      ...(owner ? { uid: owner.uid, gid: owner.gid } : {}),
      cwd: data,
      env: serverEnvironment,
      // It stays when we are gone, and Ctrl-C is for us.
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
    });
    // Told by its having no process.
    child.on('error', () => undefined);
    return child;
  } finally {
    await output.close();
  }
}

/** What is replayed stays replayed: the same files go on from there. */
async function endServer(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGQUIT'), endTimeout);
  await gone;
  clearTimeout(timer);
}

function ended(data: string, cause: PgsiloError, point: RecoveryPoint | undefined): PgsiloError {
  const reached = cause.code !== 'restore.refused';
  const other =
    point === undefined || reached
      ? 'Its log is pgsilo-start.log there.'
      : 'To have what there is without replaying it again: remove the lines recovery_target… from postgresql.auto.conf there, and start it by hand.';
  return new PgsiloError(
    'restore.failed',
    `${cause.message}; the server has ended, and its restored files are in ${data}`,
    { cause, hint: [cause.hint, other].filter(Boolean).join(' ') },
  );
}

function stalled(data: string, words: string, given: number): PgsiloError {
  return new PgsiloError(
    'restore.failed',
    `the server made no progress for ${Math.ceil(given / 60_000)} min and was ended; its restored files are in ${data}. It said last: ${words.trim().split('\n').at(-1) ?? ''}`,
    { hint: `To let it take longer start it by hand: pg_ctl start -w -D ${data}` },
  );
}
