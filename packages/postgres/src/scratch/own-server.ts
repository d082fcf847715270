import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { appendFile, chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
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
export interface OwnServer {
  /** PostgreSQL's `data_directory`. */
  readonly dataFolder: string;
  readonly connection: string;
  /** Makes a folder below, for a tablespace. */
  makeFolder(name: string): Promise<string>;
  stop(): Promise<void>;
}

export interface OwnServerOptions {
  readonly major: number;
  /** Parent of the server's folder. */
  readonly root: string;
  readonly user: string | undefined;
  readonly bin: string | undefined;
}

const run = promisify(execFile);
const startTimeout = 60_000;
const stopTimeout = 10_000;
/** Bytes of a socket's path, on the platform that takes fewest (macOS 104, Linux 108), with the zero byte at its end. */
const longestSocket = 103;
const port = 5432;
const superuser = 'postgres';

/**
 * Nothing of it survives, so nothing is flushed. Nothing runs that was not asked for: no archiving, no autovacuum, no replication, no preloaded library, no port.
 * Locks: the schema of a database with tens of thousands of tables is dumped in one transaction.
 */
const settings: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  archive_mode: 'off',
  autovacuum: 'off',
  max_logical_replication_workers: '0',
  max_connections: '200',
  max_locks_per_transaction: '512',
  maintenance_work_mem: '128MB',
  checkpoint_timeout: '30min',
  shared_preload_libraries: '',
  jit: 'off',
  logging_collector: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

/** Starts one. What killed processes left in `root` is removed first. */
export async function startOwnServer(options: OwnServerOptions, context: Context): Promise<OwnServer> {
  const { signal } = context;
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
    await initialise(bin, cluster, user, signal);
    child = await launch(bin, folder, user, signal);
    return {
      dataFolder: join(cluster, 'data'),
      connection: conninfo({ host: cluster, port: String(port), user: superuser, dbname: 'postgres' }),
      makeFolder,
      stop,
    };
  } catch (error) {
    await stop();
    if (signal.aborted) throw abortReason(signal);
    throw error;
  }
}

/** Nothing of our environment, which may hold secrets and PG* variables. */
const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

async function initialise(
  bin: string,
  cluster: string,
  user: ServerUser | undefined,
  signal: AbortSignal,
): Promise<void> {
  const data = join(cluster, 'data');
  const args = [
    `--pgdata=${data}`,
    `--username=${superuser}`,
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
    '--no-instructions',
  ];
  const identity = user ? { uid: user.uid, gid: user.gid } : {};
  try {
    await run(join(bin, 'initdb'), args, { ...identity, cwd: cluster, env: environment, signal });
  } catch (error) {
    throwIfAborted(signal);
    const said = String((error as { stderr?: unknown }).stderr ?? '').trim() || (error as Error).message;
    throw new PgsiloError('source.tool-missing', `initdb made no server to restore into: ${said}`, {
      cause: error,
      hint: 'Put it right, or name a server for copies in the pipeline file: scratch: { connection: "${env:SCRATCH_URL}" }.',
    });
  }
  const lines = Object.entries({ ...settings, unix_socket_directories: cluster }).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`,
  );
  await appendFile(join(data, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
  // Who can reach the socket is told by its folder, which no other user can enter.
  await writeFile(join(data, 'pg_hba.conf'), 'local all all trust\n');
}

async function launch(
  bin: string,
  folder: string,
  user: ServerUser | undefined,
  signal: AbortSignal,
): Promise<ChildProcess> {
  throwIfAborted(signal);
  const log = join(folder, 'server.log');
  const output = openSync(log, 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(join(bin, 'postgres'), ['-D', join(folder, 'cluster', 'data'), '-p', String(port)], {
      ...(user ? { uid: user.uid, gid: user.gid } : {}),
      cwd: join(folder, 'cluster'),
      env: environment,
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
  const deadline = Date.now() + startTimeout;
  for (;;) {
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (failure || ended || Date.now() > deadline || signal.aborted) {
      await end(child);
      throwIfAborted(signal);
      const words = (await readFile(log, 'utf8').catch(() => '')).slice(-2000);
      throw new PgsiloError(
        'source.failed',
        `the server to restore into did not start: ${failure?.message ?? words}`,
        {
          hint: 'Put it right, or name a server for copies in the pipeline file: scratch: { connection: "${env:SCRATCH_URL}" }.',
        },
      );
    }
    if (await isReady(folder, child.pid)) return child;
    await sleep(20);
  }
}

/** The server's own word on itself: the eighth line of its pid file. */
async function isReady(folder: string, pid: number | undefined): Promise<boolean> {
  const text = await readFile(join(folder, 'cluster', 'data', 'postmaster.pid'), 'utf8').catch(() => '');
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
