import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { exited, notStarted, type Outcome } from './child-outcome.ts';
import type { StartedProcess, StartOptions } from './start-process.ts';

/** Those that run: they do not outlive this process, however it exits. */
const running = new Set<{ kill(): void }>();
let watchesExit = false;

/** Starts a program as a child of this process. */
export function startDirectly(
  file: string,
  argv: readonly string[],
  { env, withInput, grace }: StartOptions,
): StartedProcess {
  const child = spawnOrFail(file, argv, env, withInput);
  if ('failed' in child) {
    const none = (): Readable => Readable.from([]);
    const ended = Promise.resolve<Outcome>(child);
    return { stdin: undefined, stdout: none(), stderr: none(), ended, kill: () => undefined };
  }
  const alive = { kill: () => void child.kill('SIGTERM') };
  running.add(alive);
  if (!watchesExit) {
    watchesExit = true;
    process.on('exit', () => {
      for (const each of running) each.kill();
    });
  }
  let lastWord: NodeJS.Timeout | undefined;
  const isGone = (): boolean => child.exitCode !== null || child.signalCode !== null;
  child.once('exit', () => {
    running.delete(alive);
    clearTimeout(lastWord);
  });
  const ended = new Promise<Outcome>((resolve) => {
    child.once('error', (cause: NodeJS.ErrnoException) => {
      running.delete(alive);
      resolve(notStarted(cause));
    });
    child.once('close', (exitCode, signal) => resolve(exited(exitCode, signal)));
  });
  // Where there are no more file descriptors there are no pipes either.
  const stdout = child.stdout ?? Readable.from([]);
  const stderr = child.stderr ?? Readable.from([]);
  return {
    stdin: child.stdin ?? undefined,
    stdout,
    stderr,
    ended,
    kill() {
      if (!isGone()) {
        child.kill('SIGTERM');
        lastWord ??= setTimeout(() => void child.kill('SIGKILL'), grace);
      }
      stdout.destroy();
      stderr.destroy();
    },
  };
}

type Child = ReturnType<typeof spawn>;

/** Some failures are thrown rather than told: arguments that are too long, or hold a zero byte. */
function spawnOrFail(
  file: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  withInput: boolean,
): Child | Outcome {
  try {
    return spawn(file, argv, { env: { ...env }, stdio: [withInput ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
  } catch (error) {
    return notStarted(error as NodeJS.ErrnoException);
  }
}
