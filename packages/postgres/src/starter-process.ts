// A process of its own (starter.ts): starts the programs that it is told to, each with two of the pipes that it was given, and tells how they end.
// It imports next to nothing, because its size is what each start costs.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { StarterAnswer, StarterOrder, StartOrder } from './starter-protocol.ts';

const children = new Map<number, ChildProcess>();
// Ctrl-C and a service's stop reach the whole group. pgsilo says what is to end; without pgsilo everything is.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => {
  for (const child of children.values()) child.kill('SIGTERM');
  process.exit();
});
process.on('message', (order: StarterOrder) => {
  if (order.do === 'start') start(order);
  else children.get(order.id)?.kill(order.signal);
});
answer({ is: 'ready' });

function start({ id, file, argv, env, stdout, stderr }: StartOrder): void {
  try {
    const child = spawn(file, argv, { env, stdio: ['ignore', stdout, stderr] });
    children.set(id, child);
    if (child.pid !== undefined) answer({ is: 'started', id, pid: child.pid });
    child.once('error', (error) => {
      children.delete(id);
      fail(id, error);
    });
    child.once('exit', (exitCode, signal) => {
      children.delete(id);
      answer({ is: 'ended', id, exitCode, signal });
    });
  } catch (error) {
    fail(id, error as Error);
  } finally {
    // Their reader sees the end once nobody but the program holds them.
    closeSync(stdout);
    closeSync(stderr);
  }
}

function fail(id: number, error: NodeJS.ErrnoException): void {
  answer({ is: 'failed', id, message: error.message, code: error.code });
}

function answer(message: StarterAnswer): void {
  // pgsilo may be gone: the disconnect is told next.
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
