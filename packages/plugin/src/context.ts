/** Bytes that flow. A Node stream is one. Ending without throwing means "all of it": whoever makes a body throws when anything is missing. */
export type Body = AsyncIterable<Uint8Array>;

/** Plain data that survives JSON. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** Fields stand beside the message; neither may hold a secret. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Time as the engine sees it, so that tests can fake it. */
export interface Clock {
  now(): Date;
  /** Resolves after `milliseconds`; rejects with the signal's reason as soon as it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/**
 * What the engine hands to every call of a plugin.
 *
 * Cancellation: when `signal` is aborted the call ends promptly by throwing, after it has undone what is half done; it never resolves as if it had succeeded.
 */
export interface Context {
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly clock: Clock;
  /**
   * How many bytes of bodies this call may hold in memory at once. The engine's one budget (`limits.memory`) is the sum of these.
   * Expect 15 to 60 MiB. There is no least: many jobs and sinks share a budget that may be as low as 64 MB. A store whose smallest part is larger than the share holds one part.
   */
  readonly memory: number;
  /** How many processors' worth of work this call may have in flight at once. At least 1. */
  readonly parallel: number;
  /** Says that a single request is being repeated by the plugin itself. Counted in the run's summary: a store that needs many repetitions is about to fail. */
  retried(): void;
  /**
   * A folder (mode 0700) of this run's own under the pipeline's `scratch:`, removed when the run ends, however it ends. Made at the first call.
   * @param bytes what the caller is about to write there; throws `scratch.full` before anything is written when the disk has less.
   */
  scratch(bytes?: number): Promise<string>;
}

/** One line of what `pgsilo doctor` found. */
export interface CheckResult {
  /** What was looked at, in a few words: `server`, `pg_dump`, `write access`. */
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'failed';
  /** What was found, with figures. */
  readonly message: string;
  /** For a warning or failure: what to do. */
  readonly hint?: string;
}
