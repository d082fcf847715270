import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { abortReason, PgsiloError, redact, throwIfAborted } from '@pgsilo/plugin';
import type { Logger } from '@pgsilo/plugin';
import { outputLines } from './hook-output.ts';
import type { HookName } from './hooks.ts';

export interface HookRun {
  readonly hook: HookName;
  readonly run: readonly string[];
  readonly folder: string;
  /** All that it gets. */
  readonly env: Readonly<Record<string, string>>;
  /** Milliseconds. */
  readonly timeout: number;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Milliseconds that it may still take after the signal was aborted. 0: it is part of the work, and ends with it. */
  readonly grace: number;
}

/** Milliseconds between SIGTERM and SIGKILL, and that what a hook leaves running may hold its output open. */
const lastWords = 2000;

/** Process groups of hooks that run: they do not outlive this process, unless that is killed outright. */
const running = new Set<ChildProcess>();
let watchesExit = false;

/**
 * Runs a command in a process group of its own to its end, and shows its output in the log. What it leaves in the group is ended with it.
 * Throws `hook.failed` unless it exits with 0 in time; the signal's reason when that ended it and `grace` is 0.
 */
export async function runHook(hook: HookRun): Promise<void> {
  const { signal, grace, log } = hook;
  if (grace === 0) throwIfAborted(signal);
  const [program = '', ...parameters] = hook.run;
  const name = `the ${hook.hook} hook ${JSON.stringify(redact(program))}`;
  log.info(`${hook.hook}: ${program}`);
  const child = start(program, parameters, hook, name);
  const output = [
    outputLines(child.stdout as Readable, (line) => log.info(`${hook.hook}: ${line}`)),
    outputLines(child.stderr as Readable, (line) => log.warn(`${hook.hook}: ${line}`)),
  ];
  let because: PgsiloError | undefined;
  const timers: NodeJS.Timeout[] = [];
  const stop = (error: PgsiloError): void => {
    if (because) return;
    because = error;
    signalGroup(child, 'SIGTERM');
    timers.push(setTimeout(() => signalGroup(child, 'SIGKILL'), lastWords));
  };
  const overdue = (milliseconds: number, what: string): PgsiloError =>
    new PgsiloError('hook.failed', `${name} took longer than ${milliseconds / 1000} s${what} and was ended`, {
      hint: `Its output is in the log above. \`timeout\` of the hook says how long it may take.`,
    });
  timers.push(setTimeout(() => stop(overdue(hook.timeout, '')), hook.timeout));
  const onAbort = (): void => {
    if (grace === 0) stop(abortReason(signal));
    else timers.push(setTimeout(() => stop(overdue(grace, ' after the interrupt')), grace));
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    const ended = await endOf(child);
    if (because) throw because;
    if (ended.failure === undefined) return;
    throw new PgsiloError('hook.failed', `${name} ${ended.failure}`, {
      ...(ended.cause ? { cause: ended.cause } : {}),
      hint: ended.cause
        ? 'The list of `run` begins with the program: its path, or a name that is found in PATH. No shell reads it.'
        : 'Its output is in the log above.',
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
    for (const timer of timers) clearTimeout(timer);
    await endGroup(child, output);
    running.delete(child);
  }
}

interface Ended {
  /** Undefined: it exited with 0. */
  readonly failure?: string;
  readonly cause?: Error;
}

function start(
  program: string,
  parameters: readonly string[],
  { folder, env }: HookRun,
  name: string,
): ChildProcess {
  if (!watchesExit) {
    watchesExit = true;
    process.on('exit', () => {
      for (const child of running) signalGroup(child, 'SIGKILL');
    });
  }
  try {
    const child = spawn(program, parameters, {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: all of it can be ended, and Ctrl-C reaches it through us, with the time it is given.
      detached: true,
    });
    running.add(child);
    return child;
  } catch (cause) {
    // A zero byte in an argument, or no more file descriptors.
    throw new PgsiloError('hook.failed', `${name} could not be started: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function endOf(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    child.on('error', (cause) => resolve({ failure: `could not be started: ${cause.message}`, cause }));
    child.once('exit', (status, killer) => {
      if (killer !== null) resolve({ failure: `was ended by ${killer}` });
      else resolve(status === 0 ? {} : { failure: `exited with ${status}` });
    });
  });
}

/** Ends what is left of the group, and waits for the output, but not for one who left the group and holds it open. */
async function endGroup(child: ChildProcess, output: readonly Promise<void>[]): Promise<void> {
  signalGroup(child, 'SIGTERM');
  const kill = setTimeout(() => signalGroup(child, 'SIGKILL'), lastWords);
  const giveUp = setTimeout(() => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, lastWords * 2);
  await Promise.all(output);
  clearTimeout(kill);
  clearTimeout(giveUp);
  signalGroup(child, 'SIGKILL');
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody is left in it.
  }
}
