import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa, ExecaError } from 'execa';
import { Cluster } from './ceph-cluster.ts';
import { configuration, programsIn } from './ceph-files.ts';
import type { CephAccess, CephPrograms } from './ceph-files.ts';
import { watchStore } from './owner.ts';

/** A folder that the repository's `test/services/install-ceph.sh` has made, or why there is none on this machine. */
export type InstalledCeph = { readonly root: string } | { readonly unavailable: string };

/** Exit status of the script on a machine that it can install nothing on. */
const notHere = 69;

/** Runs the installing script, which takes about a minute the first time. Throws when the installation fails. */
export function installCeph(script: string, version: 20 | 18 = 20): Promise<InstalledCeph> {
  return runScript([script, String(version)], ['pipe', 'inherit']);
}

/** Where the script has installed it before; installs nothing. */
export function findCeph(script: string): Promise<InstalledCeph> {
  return runScript([script, '--find'], ['pipe']);
}

async function runScript(
  parameters: readonly string[],
  stderr: ('pipe' | 'inherit')[],
): Promise<InstalledCeph> {
  try {
    const { stdout } = await execa('bash', parameters, { stderr });
    return { root: stdout.trim() };
  } catch (error) {
    if (!(error instanceof ExecaError) || error.exitCode !== notHere) throw error;
    return { unavailable: String(error.stderr).trim() };
  }
}

export interface CephOptions {
  /** What the installing script printed. */
  readonly root: string;
  /** A day of lifecycle rules lasts so many seconds; a day unless told. */
  readonly lifecycleDay?: number;
  /** Bytes of objects that it holds at most; 4 GiB unless told. */
  readonly memory?: number;
}

/** Ceph's object gateway on a free loopback port: an S3 server with versions, object lock, conditions, storage classes. It keeps objects in memory and is gone when it is stopped or this process ends. */
export interface ThrowawayCeph extends CephAccess {
  /** Nothing is answered any more, though connections are taken. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** Milliseconds. */
const startTimeout = 60_000;
/** The ports after the gateway's are the other daemons'. */
const portsNeeded = 6;

/** Starts a gateway; takes one to three seconds and about 250 MB of memory. */
export async function startCeph(options: CephOptions): Promise<ThrowawayCeph> {
  const programs = programsIn(options.root);
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-ceph-'));
  const daemons: ChildProcess[] = [];
  const watcher = watchStore(folder);
  const stop = async (): Promise<void> => {
    await Promise.all(daemons.map(end));
    watcher.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };
  const access = {
    accessKeyId: randomBytes(10).toString('hex'),
    secretAccessKey: randomBytes(20).toString('hex'),
  };
  try {
    const port = await freePorts();
    await writeFiles(folder, port, options, programs);
    const cluster = new Cluster(folder, programs, daemons);
    await cluster.startStore(port);
    await cluster.addUser(access);
    await cluster.addStorageClasses(['STANDARD_IA', 'GLACIER']);
    await cluster.startDaemon('radosgw', ['-n', 'client.rgw']);
    const endpoint = `http://127.0.0.1:${port}`;
    await untilAnswered(endpoint, daemons, folder);
    const store = daemons[1]!;
    return {
      ...access,
      endpoint,
      region: 'us-east-1',
      freeze: () => void store.kill('SIGSTOP'),
      thaw: () => void store.kill('SIGCONT'),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function writeFiles(
  folder: string,
  port: number,
  { lifecycleDay = 0, memory = 4 * 2 ** 30 }: CephOptions,
  programs: CephPrograms,
): Promise<void> {
  for (const name of ['mon', 'osd', 'run', 'rgw', 'pids']) await mkdir(join(folder, name));
  const plan = { folder, port, lifecycleDay, memory };
  await writeFile(join(folder, 'ceph.conf'), configuration(plan, programs));
}

async function untilAnswered(
  endpoint: string,
  daemons: readonly ChildProcess[],
  folder: string,
): Promise<void> {
  const deadline = Date.now() + startTimeout;
  for (;;) {
    const answered = await fetch(endpoint, { headers: { connection: 'close' } }).then(
      async (answer) => (await answer.arrayBuffer()).byteLength > 0,
      () => false,
    );
    if (answered) return;
    const dead = daemons.find(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null);
    if (dead || Date.now() > deadline) throw new Error(`Ceph did not start:\n${await lastWords(folder)}`);
    await sleep(50);
  }
}

async function lastWords(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /\.(?:out|log)$/.test(name));
  const texts = await Promise.all(
    names.map(async (name) => `${name}: ${(await readFile(join(folder, name), 'utf8')).slice(-600)}`),
  );
  return texts.join('\n');
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  // There is nothing to save, and one that is frozen hears nothing else.
  child.kill('SIGKILL');
  await ended;
}

async function freePorts(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    // Below those that the system gives to connections.
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    const all = Array.from({ length: portsNeeded }, (_, index) => isFree(first + index));
    if ((await Promise.all(all)).every(Boolean)) return first;
  }
  throw new Error(`there are no ${portsNeeded} free ports in a row`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}
