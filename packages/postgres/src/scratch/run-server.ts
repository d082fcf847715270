import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { chmod, chown, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { abortReason, PgsiloError, throwIfAborted, type Context } from '@pgsilo/plugin';
import { conninfo } from '../quoting.ts';
import {
  claimFolder,
  folderPrefix,
  killServerNow,
  noteServer,
  removeServer,
  startGuard,
  sweepServers,
} from './leftovers.ts';
import { findServerPrograms } from './server-programs.ts';
import { mustReach, serverUser, type ServerUser } from './server-user.ts';

/** A PostgreSQL server that nobody but this user of the operating system, and root, can reach. */
export interface RunningServer {
  /** PostgreSQL's `data_directory`. */
  readonly dataFolder: string;
  /** As {@link serverSuperuser}. */
  readonly connection: string;
  /** Makes a folder below, for a tablespace. */
  makeFolder(name: string): Promise<string>;
  /** What it has said so far. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

export interface ServerPlace {
  readonly major: number;
  /** Parent of the server's folder. */
  readonly root: string;
  readonly user: string | undefined;
  readonly bin: string | undefined;
}

/** Where a data directory is to be put. */
export interface DataPlace {
  /** Folder of the server's programs. */
  readonly bin: string;
  /** The server's own folder, in which its socket will be. */
  readonly cluster: string;
  /** PostgreSQL's `data_directory`, below it; not there yet. */
  readonly data: string;
  /** Whom all of it must belong to; undefined: us. */
  readonly user: ServerUser | undefined;
  /** Makes a folder of the server's user beside `cluster`. */
  makeFolder(name: string): Promise<string>;
}

export interface ServerMaking {
  /** Puts a data directory in its place, of a server that has no port and its socket in `cluster`. */
  provide(place: DataPlace): Promise<void>;
  /** Milliseconds until it must take connections; undefined: as long as it takes, for as long as it lives. */
  readonly startTimeout: number | undefined;
  /** What is wrong when it does not start. @param words the end of its log */
  notStarted(words: string): PgsiloError;
  /** Called when the server has ended, before its folder is removed; never rejects. */
  ended?(): Promise<void>;
}

/** Role of the servers that are made here. */
export const serverSuperuser = 'postgres';
/** Nothing of our environment, which may hold secrets and PG* variables. */
export const serverEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
};

const stopTimeout = 10_000;
/** Bytes of a socket's path, on the platform that takes fewest (macOS 104, Linux 108), with the zero byte at its end. */
const longestSocket = 103;
const port = 5432;
const wordsKept = 2000;
const logName = 'server.log';

/** Starts a server of a data directory that `making` provides. What killed processes left in `root` is removed first. */
export async function runServer(
  options: ServerPlace,
  making: ServerMaking,
  { signal }: Pick<Context, 'signal'>,
): Promise<RunningServer> {
  const bin = await findServerPrograms(options.major, options.bin, signal);
  const user = await serverUser(options.user);
  await mkdir(options.root, { recursive: true, mode: 0o700 });
  await sweepServers(options.root);
  if (user) await mustReach(options.root, user);
  // What says which process to end lies in a folder of our own; what the server's user may change lies below it.
  const folder = join(options.root, folderPrefix + randomBytes(6).toString('hex'));
  const cluster = join(folder, 'cluster');
  const socketBytes = Buffer.byteLength(join(cluster, `.s.PGSQL.${port}`));
  if (socketBytes > longestSocket)
    throw new PgsiloError(
      'config.invalid',
      `the folder ${options.root} has too long a path for a server's socket in it`,
      {
        hint: `Set scratch: to a folder whose path is ${socketBytes - longestSocket} bytes shorter.`,
      },
    );
  await mkdir(folder, { mode: 0o700 });
  claimFolder(folder);
  const guard = startGuard(folder);
  const atExit = (): void => killServerNow(folder);
  process.once('exit', atExit);
  let child: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    if (child) await end(child);
    await making.ended?.();
    await removeServer(folder);
    guard.kill('SIGKILL');
    process.off('exit', atExit);
  };
  try {
    if (user) await chmod(folder, 0o711);
    const makeFolder = async (name: string): Promise<string> => {
      const path = join(folder, name);
      await mkdir(path, { mode: 0o700 });
      if (user) await chown(path, user.uid, user.gid);
      return path;
    };
    await makeFolder('cluster');
    const data = join(cluster, 'data');
    await making.provide({ bin, cluster, data, user, makeFolder });
    child = await launch(bin, folder, user, making, signal);
    return {
      dataFolder: data,
      connection: conninfo({
        host: cluster,
        port: String(port),
        user: serverSuperuser,
        dbname: 'postgres',
      }),
      makeFolder,
      log: () => readFile(join(folder, logName), 'utf8'),
      stop,
    };
  } catch (error) {
    await stop();
    if (signal.aborted) throw abortReason(signal);
    throw error;
  }
}

async function launch(
  bin: string,
  folder: string,
  user: ServerUser | undefined,
  { startTimeout, notStarted }: ServerMaking,
  signal: AbortSignal,
): Promise<ChildProcess> {
  throwIfAborted(signal);
  const log = join(folder, logName);
  const output = openSync(log, 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(join(bin, 'postgres'), ['-D', join(folder, 'cluster', 'data'), '-p', String(port)], {
      ...(user ? { uid: user.uid, gid: user.gid } : {}),
      cwd: join(folder, 'cluster'),
      env: serverEnvironment,
      // Ctrl-C is for pgsilo, which ends the restores first.
      detached: true,
      stdio: ['ignore', output, output],
    });
  } finally {
    closeSync(output);
  }
  let failure: Error | undefined;
  child.once('error', (error) => (failure = error));
  if (child.pid !== undefined) noteServer(folder, child.pid);
  const deadline = Date.now() + (startTimeout ?? Infinity);
  for (;;) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (failure || ended || Date.now() > deadline || signal.aborted) {
      await end(child);
      throwIfAborted(signal);
      const words = (await readFile(log, 'utf8').catch(() => '')).slice(-wordsKept);
      throw notStarted(failure?.message ?? words);
    }
    if (await isServerReady(join(folder, 'cluster', 'data'), child.pid)) return child;
    await sleep(20);
  }
}

/** Whether a server takes connections, by its own word: the eighth line of its pid file. @param dataFolder PostgreSQL's `data_directory`. */
export async function isServerReady(dataFolder: string, pid: number | undefined): Promise<boolean> {
  const text = await readFile(join(dataFolder, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGQUIT');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeout);
  await ended;
  clearTimeout(timer);
}
