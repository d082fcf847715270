import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/**
 * Runs a program to its end and passes on the signals that this process gets meanwhile.
 * A terminal sends Ctrl-C to the child too, and npm hands on a copy of its own: on a terminal those are not passed
 * on, as they would look like an impatient second Ctrl-C. Without one this process is the only one that hears them.
 */
export async function run(program, parameters, options, started = () => {}) {
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const forward = (signal) => {
    if (!(onTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT'))) child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  const child = spawn(program, parameters, options);
  try {
    return await new Promise((resolve, reject) => {
      child.on('spawn', () => started(child.pid));
      child.on('error', (error) => reject(new Error(`${program} could not be started: ${error.message}`)));
      child.on('exit', (status, signal) => resolve({ status, signal }));
    });
  } finally {
    for (const signal of signals) process.off(signal, forward);
  }
}

/** Ends this process as its child ended, so that a shell or a CI system above it sees the same. */
export function dieOf(signal) {
  process.kill(process.pid, signal);
  // A signal that does not end a Node process: say it by the exit status.
  setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 500);
}
