import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { identityOf, isGone, ownIdentity } from '@pgsilo/plugin/process-identity';

/** Names of the folders of scratch servers: this and 12 hexadecimal digits. */
export const folderPrefix = 'pgsilo-server-';
const folderForm = /^pgsilo-server-[0-9a-f]{12}$/;
const ownerFile = 'owner';
const serverFile = 'server';
const endTimeout = 10_000;

/** Writes into the folder which process it belongs to. */
export function claimFolder(folder: string): void {
  writeFileSync(join(folder, ownerFile), ownIdentity(), { mode: 0o600, flag: 'wx' });
}

/** Writes into the folder which process is its server. */
export function noteServer(folder: string, pid: number): void {
  writeFileSync(join(folder, serverFile), identityOf(pid), { mode: 0o600 });
}

/**
 * Starts a small process that ends the server and removes its folder as soon as we are gone, however we ended: its standard input is a pipe that breaks then.
 * It is in no process group of ours, so that Ctrl-C leaves it alive to do that. What it cannot do, because it was killed too, the next sweep does.
 */
export function startGuard(folder: string): ChildProcess {
  const script = `
    cat >/dev/null
    pid=$(cut -d - -f 2 "$1/server" 2>/dev/null) && [ -n "$pid" ] && {
      kill -QUIT "$pid" 2>/dev/null
      tries=0
      while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    }
    rm -rf -- "$1"`;
  const guard = spawn('/bin/sh', ['-c', script, 'pgsilo-scratch-guard', folder], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: '/usr/bin:/bin' },
  });
  guard.on('error', () => undefined);
  guard.stdin!.on('error', () => undefined);
  guard.unref();
  (guard.stdin as unknown as { unref(): void }).unref();
  return guard;
}

/** Ends servers under `root` whose owners are proved gone, and removes their folders. */
export async function sweepServers(root: string): Promise<void> {
  for (const name of await readdir(root).catch(() => [])) {
    if (!folderForm.test(name)) continue;
    const folder = join(root, name);
    // Anybody can make a folder of this name in a shared one, and write into it what process should be ended.
    const about = await lstat(folder).catch(() => undefined);
    if (!about?.isDirectory() || about.uid !== process.getuid?.()) continue;
    const owner = await readFile(join(folder, ownerFile), 'utf8').catch(() => '');
    if (isGone(owner)) await removeServer(folder);
  }
}

/** Ends the server of a folder at once, if it runs, and removes the folder. */
export async function removeServer(folder: string): Promise<void> {
  const identity = await readFile(join(folder, serverFile), 'utf8').catch(() => '');
  const deadline = Date.now() + endTimeout;
  let signal: NodeJS.Signals = 'SIGQUIT';
  for (let pid = runningPid(identity); pid !== undefined; pid = runningPid(identity)) {
    try {
      process.kill(pid, signal);
    } catch {
      break;
    }
    if (Date.now() > deadline) signal = 'SIGKILL';
    await sleep(100);
  }
  // Processes of the server that are ending may still write while the folder is removed.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

/** For the last moment of this process, where nothing can be waited for. */
export function killServerNow(folder: string): void {
  try {
    const pid = runningPid(readFileSync(join(folder, serverFile), 'utf8'));
    if (pid !== undefined) process.kill(pid, 'SIGQUIT');
  } catch {
    // There is none, or it has ended.
  }
}

/** The process number in an identity of a process that may run; undefined for one that is gone or that is no identity. */
function runningPid(identity: string): number | undefined {
  const pid = Number(/^[0-9a-f]{16}-(\d+)-\d+$/.exec(identity)?.[1] ?? Number.NaN);
  return Number.isInteger(pid) && pid > 1 && !isGone(identity) ? pid : undefined;
}
