import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { abortReason, PgsiloError, redact, throwIfAborted, type Body } from '@pgsilo/plugin';
import { childEnvironment, failureOf } from './child-outcome.ts';
import { commandLine, type Program } from './program.ts';
import { WithoutRowContents } from './row-contents.ts';
import { startProcess } from './start-process.ts';

export interface ChildOptions {
  /** What it does, for messages: `pg_dump of database acme`. */
  readonly doing: string;
  /** Added to the environment: PGPASSWORD. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Called with each line of stderr, secrets and the contents of rows left out. */
  readonly onStderr?: (line: string) => void;
  /** Standard input; none: it is empty. */
  readonly input?: Body;
}

/** How long a child has to end after SIGTERM, in milliseconds. pg_dump uses it to cancel its query. */
const grace = 5000;
/** How much of stderr is kept, and how much of stdout `runTool` takes, in characters. */
const keptOfStderr = 65_536;
const mostOfStdout = 64 * 2 ** 20;
/** Ctrl-C reaches child and pgsilo at the same time: how long to wait for our own signal before a child's end is called a failure. */
const interruptDelay = 100;

/** A body that a child makes. */
export interface ProducedBody extends AsyncIterableIterator<Uint8Array> {
  /** Kills the child, also while a `next()` is pending, and waits until it is gone. */
  return(): Promise<IteratorResult<Uint8Array>>;
}

/**
 * The standard output of a program as a body. The program starts with the first `next()`; a slow reader slows it down.
 * Ends only after the program exited with status 0; throws `source.incomplete`, `source.lock-timeout` or `source.denied` with its last words otherwise.
 */
export function produce(tool: Program, args: readonly string[], options: ChildOptions): ProducedBody {
  const stopped = new AbortController();
  const generator = readOutput(tool, args, options, stopped.signal);
  return {
    next: () => generator.next(),
    return: async () => {
      stopped.abort();
      return await generator.return(undefined);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function* readOutput(
  tool: Program,
  args: readonly string[],
  options: ChildOptions,
  stopped: AbortSignal,
): AsyncGenerator<Uint8Array, undefined> {
  const child = startChild(tool, args, options);
  const kill = (): void => child.kill();
  stopped.addEventListener('abort', kill, { once: true });
  let finished = false;
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array;
    if (!stopped.aborted) await child.succeed();
    finished = true;
  } catch (error) {
    // A stream that breaks because the child died says less than the child's own last words.
    if (!(error instanceof PgsiloError)) await child.succeed();
    throw error;
  } finally {
    stopped.removeEventListener('abort', kill);
    if (!finished) kill();
    await child.end();
  }
}

/** Runs a program to its end. Throws like {@link produce}. A program that stops reading its input early and exits with 0 is well. */
export async function runTool(
  tool: Program,
  args: readonly string[],
  options: ChildOptions,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const child = startChild(tool, args, options);
  try {
    const decoder = new TextDecoder();
    let stdout = '';
    for await (const chunk of child.stdout) {
      stdout += decoder.decode(chunk as Uint8Array, { stream: true });
      if (stdout.length > mostOfStdout)
        throw new PgsiloError(
          'source.failed',
          `${options.doing} printed more than ${mostOfStdout} characters`,
        );
    }
    const stderr = await child.succeed();
    return { stdout: stdout + decoder.decode(), stderr };
  } catch (error) {
    if (!(error instanceof PgsiloError)) await child.succeed();
    throw error;
  } finally {
    child.kill();
    await child.end();
  }
}

interface RunningChild {
  readonly stdout: Readable;
  /** Waits for the end and throws unless it exited with 0 and its input, if any, was without error. Returns stderr. */
  succeed(): Promise<string>;
  /** Asks it to end, and makes it end after a grace. Does nothing when it has. */
  kill(): void;
  /** Waits until it is gone; never throws. */
  end(): Promise<void>;
}

function startChild(tool: Program, args: readonly string[], options: ChildOptions): RunningChild {
  const { signal, doing } = options;
  if (signal) throwIfAborted(signal);
  const [file, argv] = commandLine(tool, args);
  const child = startProcess(file, argv, {
    env: childEnvironment(tool.prefix.length > 0, options.env),
    withInput: options.input !== undefined,
    grace,
  });
  const { ended, kill } = child;
  signal?.addEventListener('abort', kill, { once: true });

  let stderr = '';
  let line = '';
  const shown = new WithoutRowContents();
  const say = (one: string): void => {
    const text = shown.line(one);
    if (text === undefined) return;
    stderr = `${stderr}${text}\n`.slice(-keptOfStderr);
    if (text.trim()) options.onStderr?.(redact(text));
  };
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    const lines = (line + text).split('\n');
    // The beginning of a line says what it is about.
    line = lines.pop()!.slice(0, keptOfStderr);
    for (const one of lines) say(one);
  });

  let inputError: unknown;
  const fed =
    options.input && child.stdin
      ? pipeline(
          watchErrors(options.input, (error) => (inputError = error)),
          child.stdin,
        )
      : undefined;
  // The child's end of the pipe breaks when it stops reading; whether that was right is told by its exit status.
  const feeding = fed?.catch(() => {
    if (inputError !== undefined) kill();
  });

  const succeed = async (): Promise<string> => {
    const [outcome] = await Promise.all([ended, feeding]);
    if (line !== '') say(line);
    line = '';
    if (signal?.aborted) throw abortReason(signal);
    if (inputError !== undefined) throw inputError;
    if (!outcome.failed) return redact(stderr);
    await sleep(interruptDelay);
    if (signal?.aborted) throw abortReason(signal);
    throw failureOf(doing, file, outcome, redact(stderr));
  };
  const end = async (): Promise<void> => {
    await Promise.all([ended, feeding]);
    signal?.removeEventListener('abort', kill);
  };
  return { stdout: child.stdout, succeed, kill, end };
}

/** The same body; an error of its own is told apart from an error of who reads it. */
async function* watchErrors(body: Body, onError: (error: unknown) => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    onError(error);
    throw error;
  }
}
