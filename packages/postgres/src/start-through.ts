import type { Readable } from 'node:stream';
import { exited, notStarted, type Outcome } from './child-outcome.ts';
import type { StartedProcess, StartOptions } from './start-process.ts';
import type { Starter } from './starter.ts';
import type { ProgramEnd } from './starter-protocol.ts';

/** Starts a program that reads no input as a child of the starter. */
export function startThrough(
  starter: Starter,
  file: string,
  argv: readonly string[],
  { env, grace }: StartOptions,
): StartedProcess {
  const { stdout, stderr, ended: end, kill } = starter.start(file, argv, env);
  let gone = false;
  let lastWord: NodeJS.Timeout | undefined;
  const left = end.then((how) => {
    gone = true;
    clearTimeout(lastWord);
    if (how?.is === 'ended') return how;
    // Nobody will write into them any more.
    stdout.destroy();
    stderr.destroy();
    return how;
  });
  const ended = Promise.all([left, closed(stdout), closed(stderr)]).then(([how]) => outcomeOf(how));
  return {
    stdin: undefined,
    stdout,
    stderr,
    ended,
    kill() {
      if (!gone) {
        kill('SIGTERM');
        lastWord ??= setTimeout(() => kill('SIGKILL'), grace);
      }
      stdout.destroy();
      stderr.destroy();
    },
  };
}

function outcomeOf(end: ProgramEnd | undefined): Outcome {
  if (end === undefined) return { failed: true, lost: true };
  if (end.is === 'failed') {
    const { code } = end;
    return notStarted(Object.assign(new Error(end.message), code === undefined ? {} : { code }));
  }
  return exited(end.exitCode, end.signal);
}

function closed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) resolve();
    else stream.once('close', () => resolve());
  });
}
