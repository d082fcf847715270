import type { Readable, Writable } from 'node:stream';
import type { Outcome } from './child-outcome.ts';
import { startDirectly } from './start-directly.ts';
import { startThrough } from './start-through.ts';
import { Starter } from './starter.ts';

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

/** Programs that are started without a starter, which is worth its own start only where there are many. */
const few = 3;
/** Milliseconds that a starter waits for more to do. */
const patience = 500;

let starter: Starter | undefined;
let direct = 0;
let trusted = true;
let ending: NodeJS.Timeout | undefined;

/** Starts a program without a shell. A program that cannot be started is told by `ended`, as one that failed. */
export function startProcess(file: string, argv: readonly string[], options: StartOptions): StartedProcess {
  const through = options.withInput ? undefined : usableStarter();
  if (!through) {
    direct += 1;
    return startDirectly(file, argv, options);
  }
  clearTimeout(ending);
  const started = startThrough(through, file, argv, options);
  void started.ended.then(() => retire(through));
  return started;
}

function usableStarter(): Starter | undefined {
  // One that was lost might be again: then each program is better started the dear way.
  if (starter?.failed) trusted = false;
  if (!trusted || direct < few) return undefined;
  if (!starter || starter.spent) {
    const spent = starter;
    starter = begunStarter();
    // Where its last program has ended already, nothing else would end it.
    if (spent) retire(spent);
  }
  return starter?.usable ? starter : undefined;
}

function begunStarter(): Starter | undefined {
  try {
    return new Starter(retire);
  } catch {
    // No memory, no file descriptors: the program's own start will say so.
    trusted = false;
    return undefined;
  }
}

/** Ends a starter that has nothing more to do. */
function retire(idle: Starter): void {
  if (!idle.idle) return;
  if (idle !== starter) {
    idle.end();
    return;
  }
  clearTimeout(ending);
  ending = setTimeout(() => {
    if (!idle.idle || idle !== starter) return;
    idle.end();
    starter = undefined;
    direct = 0;
  }, patience).unref();
}
