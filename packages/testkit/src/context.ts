import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { abortReason, PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Clock, Context, Logger } from '@pgsilo/plugin';

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A logger that prints nothing and remembers everything. */
export interface RecordingLogger extends Logger {
  readonly entries: readonly LogEntry[];
}

export function recordingLogger(): RecordingLogger {
  const entries: LogEntry[] = [];
  const at =
    (level: LogEntry['level']) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      entries.push({ level, message, fields });
    };
  return { entries, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** The time of day and real waiting. */
export const realClock: Clock = {
  now: () => new Date(),
  async sleep(milliseconds, signal) {
    if (signal) throwIfAborted(signal);
    try {
      await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      throw signal === undefined ? error : abortReason(signal);
    }
  },
};

/** Time stands still until somebody sleeps: a sleep returns at once and moves it on. */
export interface FakeClock extends Clock {
  /** Every sleep so far, in milliseconds. */
  readonly slept: readonly number[];
  advance(milliseconds: number): void;
}

export function fakeClock(start: Date = new Date('2026-11-21T02:00:00Z')): FakeClock {
  let now = start.getTime();
  const slept: number[] = [];
  return {
    slept,
    now: () => new Date(now),
    advance(milliseconds) {
      now += milliseconds;
    },
    async sleep(milliseconds, signal) {
      if (signal) throwIfAborted(signal);
      slept.push(milliseconds);
      now += milliseconds;
    },
  };
}

export interface TestContextOptions {
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Bytes; 32 MiB unless told. */
  readonly memory?: number;
  /** 2 unless told. */
  readonly parallel?: number;
}

/** A context for one test. */
export interface TestContext extends Context {
  /** What was logged, unless another logger was given. */
  readonly entries: readonly LogEntry[];
  /** How often `retried` was called. */
  readonly retries: number;
  /** Aborts the context's signal. */
  abort(reason?: unknown): void;
  /** Removes the scratch folder. */
  dispose(): Promise<void>;
}

export function testContext(options: TestContextOptions = {}): TestContext {
  const controller = new AbortController();
  const recorder = recordingLogger();
  let folder: Promise<string> | undefined;
  let retries = 0;
  return {
    signal: controller.signal,
    log: options.log ?? recorder,
    clock: options.clock ?? realClock,
    memory: options.memory ?? 32 * 1024 * 1024,
    parallel: options.parallel ?? 2,
    retried: () => void (retries += 1),
    get retries() {
      return retries;
    },
    scratch: () => (folder ??= mkdtemp(join(tmpdir(), 'pgsilo-test-'))),
    entries: recorder.entries,
    abort: (reason = new PgsiloError('aborted', 'interrupted by a test')) => controller.abort(reason),
    async dispose() {
      if (folder) await rm(await folder, { recursive: true, force: true });
      folder = undefined;
    },
  };
}
