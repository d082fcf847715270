import type { Body, CheckResult, Context } from './context.ts';

/**
 * A place where objects lie: a folder, a bucket.
 *
 * The engine makes every key: relative, `/`-separated, lower case but for time stamps and names of write-ahead log, at most 512 bytes, of the characters `A-Z a-z 0-9 - _ . = /`, never `.`, `..` or empty between slashes.
 * A sink uses it as it is and never reads a meaning out of it. A prefix that its options put in front may be as long as the store's own limit leaves room beside those 512 bytes. No key is the beginning of another up to one of its slashes (never both `a` and `a/b`), and no piece between slashes is longer than 255 bytes: folders could not hold them.
 *
 * Objects are immutable: there is no way to overwrite one. All methods may be called concurrently.
 * A sink never times, counts, throttles or retries on its own account beyond single idempotent requests of its protocol: that is done once, around it.
 * A create-only request is not idempotent: repeated after a lost answer, it may be refused by its own object.
 * All errors are `PgsiloError`s with a `sink.*` code; the engine decides by that code alone: retryable ones are repeated where the call can be repeated,
 * `sink.denied` and `sink.missing` (no such bucket) end the sink's part in the run, all others its part in a unit.
 */
export interface Sink {
  /**
   * Stores `body` as a new object, durably: when this resolves, the object survives a power cut.
   *
   * - Create-only: when `key` exists, throws `sink.exists` and leaves the first object as it was. Of two writers at once, one wins.
   * - Atomic: nobody sees the object, by `get`, `stat` or `list`, before all of it is there.
   * - When `body` throws, that very error is thrown, and no object is left. When the signal aborts, likewise: a commit that is on its way then is awaited for a second or two
   *   and its object removed, so that the call may end up to 5 s after the abort, no later.
   * - A body that is larger than the store takes throws `sink.too-large`, as soon as that is known.
   * - Reads `body` once, at the speed of the store; holds at most `context.memory` bytes of it.
   */
  put(key: string, body: Body, hint: PutHint, context: Context): Promise<StoredObject>;

  /**
   * The object's bytes, or a range of them.
   * Throws `sink.not-found` at the first read when there is no such object, and `sink.corrupt` when fewer bytes arrive than were stored or asked for: it never ends early.
   * When the reader stops early, what was opened is closed.
   */
  get(key: string, range: ByteRange | undefined, context: Context): Body;

  /** Size and time of one object. Throws `sink.not-found`. */
  stat(key: string, context: Context): Promise<ObjectInfo>;

  /**
   * Every object whose key starts with `prefix` (a plain string: `a/b` also finds `a/bc`), each once, in no particular order, fetched as the reader goes.
   * An object that was there before the call and is there after it is found. No such prefix is an empty list, not an error; an unreachable store throws.
   */
  list(prefix: string, context: Context): AsyncIterable<ObjectInfo>;

  /**
   * Removes objects for good: where the store keeps versions, by version, or they would take space for ever. A bin that empties itself (soft delete) is left alone.
   * A key that is not there counts as removed.
   * @returns the objects that the store refuses to give up yet: under an object lock, or of whose versions the owner lets nobody dispose. They are no error.
   */
  remove(keys: readonly string[], context: Context): Promise<readonly RetainedObject[]>;

  /** Reaches the store, logs in, and proves by trying that it can write, read, list and remove; leaves nothing behind. */
  check(context: Context): AsyncIterable<CheckResult>;

  /**
   * Where the objects lie, as far as it is known without asking the store: two sinks of one pipeline that say the same are one place, and retention of one would remove what the other keeps.
   * A folder of this machine is told by its absolute path, and by nothing else.
   */
  place?(): Promise<string>;

  /** Ends connections and timers. Nothing is open afterwards. Called once, after the last call. */
  close(): Promise<void>;

  /**
   * Removes what writers that no longer live left of unfinished objects under `prefix`. Never touches what may still be written:
   * where the store cannot tell, only what was begun before `before`.
   * @returns how many leftovers were removed.
   */
  sweep?(prefix: string, before: Date, context: Context): Promise<number>;
  /**
   * Makes an object durable that another process stored, which may have been killed before it was. Asked before somebody is told that it is safe.
   * Without this method whatever can be seen is durable.
   */
  settle?(key: string, context: Context): Promise<void>;
}

/** What is known of an object before it is written. */
export interface PutHint {
  /** Manifests, runs and notes are small and read often; artifacts may be large. */
  readonly kind: 'artifact' | 'manifest' | 'run' | 'note' | 'wal';
  /** A guess, in bytes, from the last backup or the database's size; may be wrong in either direction. */
  readonly estimatedBytes?: number;
}

/** First byte and count, both in bytes; at least one byte, and all within the object. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface StoredObject {
  readonly bytes: number;
  /** The store's name for this version, where it keeps versions. */
  readonly version?: string;
}

export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
  readonly modified: Date;
}

/** An object that cannot be removed yet. */
export interface RetainedObject {
  readonly key: string;
  /** Undefined: held without an end. */
  readonly until?: Date;
}

/** What a sink can do. Declared, and tested: an ability that is not declared must fail. */
export interface SinkTraits {
  /** How "create-only" is enforced: by the store in one step, or by a claim beside the object. */
  readonly createOnly: 'native' | 'claim';
  /** Whether `get` can fetch a range without reading what comes before it. */
  readonly ranges: boolean;
  /** Whether objects can be locked against removal. */
  readonly objectLock: boolean;
  /** Largest object, in bytes. Told to people: the engine does not look at it, `put` throws `sink.too-large`. */
  readonly largestObject: number;
  /** Whether large objects are sent in parts. */
  readonly parts: boolean;
}
