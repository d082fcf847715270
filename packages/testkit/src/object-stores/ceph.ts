import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa, ExecaError } from 'execa';
import { configuration, programsIn } from './ceph-files.ts';
import type { CephPrograms } from './ceph-files.ts';
import { watchStore } from './owner.ts';

/** A folder that the repository's `test/services/install-ceph.sh` has made, or why there is none on this machine. */
export type InstalledCeph = { readonly root: string } | { readonly unavailable: string };

/** Exit status of the script on a machine that it can install nothing on. */
const notHere = 69;

/** Runs the installing script, which takes about a minute the first time. Throws when the installation fails. */
export async function installCeph(script: string, version: 20 | 18 = 20): Promise<InstalledCeph> {
  try {
    const { stdout } = await execa('bash', [script, String(version)], { stderr: ['pipe', 'inherit'] });
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

/** What opens it. */
export interface CephAccess {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Ceph's object gateway on a free loopback port: an S3 server with versions, object lock, conditions, storage classes. It keeps objects in memory and is gone when it is stopped or this process ends. */
export interface ThrowawayCeph extends CephAccess {
  /** Nothing is answered any more, though connections are taken. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

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

class Cluster {
  readonly #folder: string;
  readonly #programs: CephPrograms;
  readonly #daemons: ChildProcess[];

  constructor(folder: string, programs: CephPrograms, daemons: ChildProcess[]) {
    this.#folder = folder;
    this.#programs = programs;
    this.#daemons = daemons;
  }

  async startStore(port: number): Promise<void> {
    const at = (name: string): string => join(this.#folder, name);
    const store = randomUUID();
    const conf = await readFile(at('ceph.conf'), 'utf8');
    const fsid = /^fsid = (.+)$/m.exec(conf)![1]!;
    const monitor = ['a', `[v2:127.0.0.1:${port + 1}]`];
    await this.#run('ceph-authtool', [
      '--create-keyring',
      at('keyring'),
      '--gen-key',
      '-n',
      'mon.',
      '--cap',
      'mon',
      'allow *',
    ]);
    await this.#run('monmaptool', ['--create', '--fsid', fsid, '--addv', ...monitor, at('monmap')]);
    await this.#run('ceph-mon', ['-c', at('ceph.conf'), '-i', 'a', '--mkfs', '--monmap', at('monmap')]);
    await this.startDaemon('ceph-mon', ['-i', 'a']);
    await this.#run('ceph', ['-c', at('ceph.conf'), '--connect-timeout', '20', 'osd', 'new', store, '0']);
    await this.#run('ceph-osd', ['-c', at('ceph.conf'), '-i', '0', '--mkfs', '--osd-uuid', store]);
    await this.startDaemon('ceph-osd', ['-i', '0']);
  }

  async addUser({
    accessKeyId,
    secretAccessKey,
  }: Pick<CephAccess, 'accessKeyId' | 'secretAccessKey'>): Promise<void> {
    const keys = ['--access-key', accessKeyId, '--secret-key', secretAccessKey];
    await this.#admin('user', 'create', '--uid', 'test', '--display-name', 'test', ...keys);
  }

  async addStorageClasses(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const where = ['--placement-id', 'default-placement', '--storage-class', name];
      await this.#admin('zonegroup', 'placement', 'add', '--rgw-zonegroup', 'default', ...where);
      const pool = ['--data-pool', `default.rgw.${name}.data`];
      await this.#admin('zone', 'placement', 'add', '--rgw-zone', 'default', ...where, ...pool);
    }
  }

  async startDaemon(name: string, parameters: readonly string[]): Promise<void> {
    const output = openSync(join(this.#folder, `${name}.out`), 'a');
    const child = spawn(
      this.#programs.program(name),
      ['-c', join(this.#folder, 'ceph.conf'), '-f', ...parameters],
      // A terminal's Ctrl-C is for the commands that are tried on the server, not for the server.
      { cwd: this.#folder, env: environment(), detached: true, stdio: ['ignore', output, output] },
    );
    closeSync(output);
    this.#daemons.push(child);
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    await writeFile(join(this.#folder, 'pids', String(child.pid)), '');
  }

  async #admin(...parameters: readonly string[]): Promise<void> {
    await this.#run('radosgw-admin', [
      '-c',
      join(this.#folder, 'ceph.conf'),
      '-n',
      'client.admin',
      ...parameters,
    ]);
  }

  async #run(name: string, parameters: readonly string[]): Promise<void> {
    await execa(this.#programs.program(name), parameters, {
      cwd: this.#folder,
      env: environment(),
      extendEnv: false,
      timeout: startTimeout,
      killSignal: 'SIGKILL',
    });
  }
}

function environment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };
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
