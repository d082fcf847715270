import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import type { Outcome } from './child-outcome.ts';

export interface StartedProcess {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** How it ended, once it is gone and its output was read or given up; never rejects. */
  readonly ended: Promise<Outcome>;
  /** Asks it to end, and makes it end after a grace. Its output is given up: what it started itself may hold the pipes open after it. */
  kill(): void;
}

export interface StartOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly withInput: boolean;
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly grace: number;
}

/** Those that run: they do not outlive this process, however it exits. */
const running = new Set<{ kill(): void }>();
let watchesExit = false;

/** Starts a program without a shell. A program that cannot be started is told by `ended`, as one that failed. */
export function startProcess(
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
    child.once('close', (exitCode, signal) => {
      if (signal !== null) resolve({ failed: true, signal });
      else resolve({ failed: exitCode !== 0, exitCode: exitCode ?? -1 });
    });
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

function notStarted(cause: NodeJS.ErrnoException): Outcome {
  return { failed: true, ...(cause.code === undefined ? {} : { code: cause.code }), cause };
}
