import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { CephAccess, CephPrograms } from './ceph-files.ts';

/** Milliseconds for one of the commands that set it up. */
const commandTimeout = 60_000;

/** The daemons of one store, as they are started one after another. */
export class Cluster {
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
      timeout: commandTimeout,
      killSignal: 'SIGKILL',
    });
  }
}

function environment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };
}
