import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityOf, isGone } from '@pgsilo/plugin/process-identity';

/** Names of server folders begin with this. */
export const folderPrefix = 'pgsilo-pg-';
const ownerFile = 'owner';

/** Writes who a server's folder belongs to: when that process is gone, the server goes. */
export function claimFolder(folder: string, owner: number): void {
  writeFileSync(join(folder, ownerFile), `${identityOf(owner)}\n`);
}

/**
 * Starts a small process that ends the server and removes its folder as soon as the owner is gone, however it ended: also after SIGKILL.
 * It is in no process group of ours, so that Ctrl-C leaves it alive to do that.
 */
export function watchOwner(folder: string, owner: number): ChildProcess {
  const script = `
    while kill -0 "$1" 2>/dev/null; do sleep 0.3; done
    pid=$(head -n 1 "$2/data/postmaster.pid" 2>/dev/null) && [ -n "$pid" ] && {
      kill -QUIT "$pid" 2>/dev/null
      tries=0
      while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
    }
    rm -rf -- "$2"`;
  const child = spawn('/bin/sh', ['-c', script, 'pgsilo-postgres-watch', String(owner), folder], {
    cwd: '/',
    detached: true,
    stdio: 'ignore',
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
  });
  child.unref();
  return child;
}

/** Ends the servers in `parent` whose owners are gone and removes their folders: what is left when owner and watcher were both killed. */
export function sweepLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(folderPrefix)) continue;
    const folder = join(parent, name);
    const owner = readOwner(folder);
    if (owner && isGone(owner)) removeServer(folder);
  }
}

/** Ends the server of a folder at once, if it runs, and removes the folder. */
export function removeServer(folder: string): void {
  const pid = postmasterOf(folder);
  if (pid !== undefined) {
    try {
      process.kill(pid, 'SIGQUIT');
    } catch {
      // It had ended already.
    }
  }
  // A server that is ending may still write while the folder is removed.
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** Process id of the folder's server, as the server wrote it down. */
export function postmasterOf(folder: string): number | undefined {
  const file = join(folder, 'data', 'postmaster.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}

/** Undefined when the folder tells no owner. */
function readOwner(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, ownerFile), 'utf8').trim();
  } catch {
    return undefined;
  }
}
