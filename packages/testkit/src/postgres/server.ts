import { execFile, spawn, type ChildProcess } from 'node:child_process';
import {
  chownSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  writeFileSync,
  appendFileSync,
  realpathSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { claimFolder, folderPrefix, removeServer, sweepLeftovers, watchOwner } from './leftovers.ts';
import { findServerPrograms, serverUser } from './programs.ts';

export interface StartOptions {
  /** Major version; default: the newest that is installed. */
  readonly version?: number;
  /** Folder of `initdb` and `postgres`, instead of looking for them. */
  readonly bin?: string;
  /** Lines of postgresql.conf: `{ max_locks_per_transaction: 256 }`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** More arguments of initdb. */
  readonly initdb?: readonly string[];
  /** The server ends when this process does; default: the one that calls. */
  readonly owner?: number;
  /** An empty folder for it, one of `serverFolder`'s; default: a new one. */
  readonly folder?: string;
}

/** A PostgreSQL server on a free loopback port that is gone, with its files, when it is stopped or its owner ends. Not durable: fsync is off. */
export interface ThrowawayPostgres {
  /** Connection string of the superuser, password included, database `postgres`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly major: number;
  /** Where `psql`, `pg_dump` and the rest of this version are. */
  readonly bin: string;
  /** PostgreSQL's data folder. */
  readonly dataFolder: string;
  /** Folder of the server's Unix socket. */
  readonly socketFolder: string;
  readonly logFile: string;
  /** The connection string with another database. */
  urlOf(database: string): string;
  /** Ends it as a power cut would: sessions break off in the middle. The data stays for `start()`. */
  kill(): Promise<void>;
  /** Starts it again after `kill()`, at the same port. */
  start(): Promise<void>;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

const run = promisify(execFile);
const user = 'postgres';
const startTimeout = 30_000;
const attempts = 5;

/** Starts a server. Takes about a second and a half, nearly all of it initdb. */
export async function startPostgres(options: StartOptions = {}): Promise<ThrowawayPostgres> {
  const programs = options.bin
    ? { bin: options.bin, major: options.version }
    : findServerPrograms(options.version);
  const identity = serverUser();
  sweepLeftovers(parentFolder());
  const folder = options.folder ?? mkdtempSync(serverFolder(''));
  const owner = options.owner ?? process.pid;
  claimFolder(folder, owner);
  if (identity) chownSync(folder, identity.uid, identity.gid);
  const watcher = watchOwner(folder, owner);
  const removeNow = (): void => removeServer(folder);
  if (owner === process.pid) process.once('exit', removeNow);

  const data = join(folder, 'data');
  const log = join(folder, 'server.log');
  const password = `pw-${crypto.randomUUID()}`;
  const env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', TZ: 'UTC' };
  let child: ChildProcess | undefined;

  const launch = async (port: number): Promise<void> => {
    const output = openSync(log, 'a', 0o600);
    child = spawn(join(programs.bin, 'postgres'), ['-D', data, '-p', String(port)], {
      ...identity,
      cwd: folder,
      env,
      // A terminal's Ctrl-C is for the commands that are tried on the server, not for the server.
      detached: true,
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    if (owner !== process.pid) child.unref();
    await untilReady(child, data, log);
  };

  const stop = async (): Promise<void> => {
    if (child) await end(child, 'SIGINT');
    watcher.kill('SIGKILL');
    process.off('exit', removeNow);
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };

  try {
    await initialise();
    const port = await launchOnFreePort(launch, log);
    const urlOf = (database: string): string =>
      `postgresql://${user}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
    return {
      url: urlOf('postgres'),
      host: '127.0.0.1',
      port,
      user,
      password,
      major: programs.major ?? Number(readFileSync(join(data, 'PG_VERSION'), 'utf8')),
      bin: programs.bin,
      dataFolder: data,
      socketFolder: folder,
      logFile: log,
      urlOf,
      kill: () => end(child!, 'SIGQUIT'),
      start: () => launch(port),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }

  async function initialise(): Promise<void> {
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    if (identity) chownSync(passwordFile, identity.uid, identity.gid);
    const locale = process.platform === 'linux' ? 'C.UTF-8' : 'C';
    const flags = [
      '--no-sync',
      '--no-instructions',
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      `--locale=${locale}`,
    ];
    const args = ['-D', data, '-U', user, `--pwfile=${passwordFile}`, ...flags, ...(options.initdb ?? [])];
    await run(join(programs.bin, 'initdb'), args, { ...identity, cwd: folder, env });
    rmSync(passwordFile);
    // A path of a socket is at most 107 bytes.
    const sockets = Buffer.byteLength(folder) < 90 ? folder : '';
    const settings: Record<string, string | number | boolean> = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: sockets,
      fsync: false,
      synchronous_commit: false,
      full_page_writes: false,
      shared_buffers: '32MB',
      max_connections: 100,
      jit: false,
      autovacuum_naptime: '1d',
      logging_collector: false,
      log_line_prefix: '%m [%p] %q%a %u@%d ',
      ...options.settings,
    };
    const lines = Object.entries(settings).map(
      ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'`,
    );
    appendFileSync(join(data, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
  }
}

/** A folder that another user can go through: a private TMPDIR is none when the server runs as another user. */
function parentFolder(): string {
  return realpathSync(process.getuid?.() === 0 ? '/tmp' : tmpdir());
}

/** Path of a server's folder. */
export function serverFolder(name: string): string {
  return join(parentFolder(), folderPrefix + name);
}

/** Between looking for a free port and listening on it another process may take it. */
async function launchOnFreePort(launch: (port: number) => Promise<void>, log: string): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      await launch(port);
      return port;
    } catch (error) {
      if (attempt === attempts || !/could not bind|already in use/.test(readFileSync(log, 'utf8')))
        throw error;
      writeFileSync(log, '');
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilReady(child: ChildProcess, data: string, log: string): Promise<void> {
  const deadline = Date.now() + startTimeout;
  let failure: Error | undefined;
  child.once('error', (error) => (failure = error));
  while (Date.now() < deadline) {
    if (failure) throw failure;
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(
        `the PostgreSQL server ended while starting:\n${readFileSync(log, 'utf8').slice(-2000)}`,
      );
    }
    if (stateOf(data, child.pid!) === 'ready') return;
    await sleep(20);
  }
  throw new Error(
    `the PostgreSQL server was not ready after ${startTimeout / 1000} s:\n${readFileSync(log, 'utf8').slice(-2000)}`,
  );
}

/** The server's own word on itself: the eighth line of its pid file. */
function stateOf(data: string, pid: number): string | undefined {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    return Number(lines[0]) === pid ? lines[7]?.trim() : undefined;
  } catch {
    return undefined;
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGQUIT'), 5000);
  await ended;
  clearTimeout(timer);
}
