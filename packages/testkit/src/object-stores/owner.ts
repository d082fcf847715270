import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/**
 * Starts a small process that ends a store's daemons, named by the files in `pids`, and removes its folder as soon as this process is gone, however it ended: also after SIGKILL.
 * It is in no process group of ours, so that Ctrl-C leaves it alive to do that.
 */
export function watchStore(folder: string): ChildProcess {
  const script = `
    while kill -0 "$1" 2>/dev/null; do sleep 0.3; done
    for pid in $(ls "$2/pids" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
    tries=0
    while ! rm -rf -- "$2" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done`;
  const parameters = ['-c', script, 'pgsilo-store-watch', String(process.pid), folder];
  const child = spawn('/bin/sh', parameters, {
    cwd: '/',
    detached: true,
    stdio: 'ignore',
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
  });
  child.unref();
  return child;
}
