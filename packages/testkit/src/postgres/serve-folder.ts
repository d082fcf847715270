import { spawn } from 'node:child_process';
import { chownSync, closeSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverUser } from './programs.ts';

/** A server on files that were there before: what a restore has made. */
export interface ServedFolder {
  /** Ends it; the files stay. */
  stop(): Promise<void>;
}

// A restore_command may start Node for each segment, on a slow machine.
const startTimeout = 90_000;

/** An empty folder that a server's user may write into, and files in it belong to that user where a restore runs as root. The caller removes it. */
export function folderForServer(): string {
  const parent = realpathSync(process.getuid?.() === 0 ? '/tmp' : tmpdir());
  const folder = mkdtempSync(join(parent, 'pgsilo-files-'));
  const identity = serverUser();
  if (identity) chownSync(folder, identity.uid, identity.gid);
  return folder;
}

/** Starts PostgreSQL on a data directory, as it is; ready once it is a server and recovers no more. Throws with the server's last words. */
export async function serveFolder(data: string, bin: string): Promise<ServedFolder> {
  const log = `${data}.log`;
  const output = openSync(log, 'w', 0o600);
  const child = spawn(join(bin, 'postgres'), ['-D', data], {
    ...serverUser(),
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', TZ: 'UTC' },
    detached: true,
    stdio: ['ignore', output, output],
  });
  closeSync(output);
  const killNow = (): void => void child.kill('SIGKILL');
  process.once('exit', killNow);
  const stop = async (): Promise<void> => {
    process.off('exit', killNow);
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGQUIT');
      await ended;
    }
    rmSync(log, { force: true });
  };
  const words = (): string => readFileSync(log, 'utf8');
  const deadline = Date.now() + startTimeout;
  while (!words().includes('database system is ready to accept connections')) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      const said = words().slice(-2000);
      await stop();
      throw new Error(`no server came of ${data}:\n${said}`);
    }
    await sleep(20);
  }
  return { stop };
}
