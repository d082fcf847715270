import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { CheckResult, Context, Sink } from '@pgsilo/plugin';
import { settled } from './interrupt.ts';
import { doctorPrefix, newRunId } from './keys.ts';
import type { PipelineSink } from './pipeline.ts';
import type { EngineSession } from './session.ts';

/** What a trial found. One that broke a promise of the contract says which, and what goes wrong for a user. */
export interface TrialResult extends CheckResult {
  readonly promise?: string;
  readonly reason?: string;
}

/** A place in a sink that is one doctor's own while it runs; all that is put there is removed at the end. */
export interface TrialPlace {
  /** What all keys of the trial begin with; ends in `/`. */
  readonly prefix: string;
  /** The same sink, whose puts are remembered: what it stores is found again even where listing does not. */
  watched(sink: Sink): Sink;
}

/** Tries a sink out at a place of its own. */
export type TrySink = (sink: PipelineSink, place: TrialPlace, context: Context) => AsyncIterable<TrialResult>;

/** Milliseconds after which what a doctor left is taken for a dead one's. */
const deadAfter = 86_400_000;
/** An abort does not reach the removal, and a store that hangs must not hold it for ever; milliseconds. */
const clearWithin = 60_000;
const share = 1 / 32;
const runFolderForm = /^\d{8}T\d{6}Z-[0-9a-f]{6}\//;

/**
 * Has a sink tried out in a place of its own below the pipeline's prefix, where neither runs nor the catalog look, and removes all of it, however the trial ends.
 * A store that locks what is put there is only told of: whatever a trial stored would stay.
 */
export async function* trialOf(
  session: EngineSession,
  sink: PipelineSink,
  trySink: TrySink,
): AsyncGenerator<TrialResult, void, undefined> {
  const { name: pipeline, clock, log } = session.pipeline;
  await sweepDead(session, sink);
  const prefix = `${doctorPrefix(pipeline)}${newRunId(clock.now())}/`;
  const stored: Stored = { keys: new Set(), pending: new Set() };
  const watched = (inner: Sink): Sink => new WatchedSink(inner, prefix, stored);
  let locked: string | undefined;
  let left: string | undefined;
  try {
    locked = await lockedObject(session, watched(sink.sink), `${prefix}probe`);
    if (locked === undefined) yield* trySink(sink, { prefix, watched }, session.context());
  } finally {
    if (locked === undefined) left = await clear(session, sink.sink, prefix, stored);
    if (left !== undefined && session.signal.aborted) log.warn(left, { sink: sink.name });
  }
  if (locked !== undefined) yield { name: 'promises', status: 'ok', message: locked };
  if (left !== undefined) {
    const hint = 'Remove them by hand: no backup lies there.';
    yield { name: 'clean-up', status: 'failed', message: left, hint };
  }
}

/** What a trial put, as far as it was not removed. */
interface Stored {
  readonly keys: Set<string>;
  /** Puts that go on: after an interruption one may still store something. */
  readonly pending: Set<Promise<unknown>>;
}

/** Why nothing more can be tried out; undefined where what was put can be removed. */
async function lockedObject(session: EngineSession, sink: Sink, key: string): Promise<string | undefined> {
  const context = session.context(share);
  await sink.put(key, oneByte(), { kind: 'note' }, context);
  const [retained] = await sink.remove([key], context);
  if (retained === undefined) return undefined;
  const until = retained.until === undefined ? 'without an end' : `until ${retained.until.toISOString()}`;
  return `not tried out, because the store does not give up what was put there; one object of one byte stays at ${key}, held ${until}`;
}

async function* oneByte(): AsyncGenerator<Uint8Array> {
  yield Uint8Array.of(0x78);
}

/** @returns what could not be removed, as a sentence. */
async function clear(
  session: EngineSession,
  sink: Sink,
  prefix: string,
  stored: Stored,
): Promise<string | undefined> {
  await settled(Promise.allSettled(stored.pending));
  const context = session.context(share, AbortSignal.timeout(clearWithin));
  const sentence = `objects of this doctor may be left under ${prefix}`;
  try {
    const keys = new Set([...stored.keys, ...(await keysUnder(sink, prefix, context))]);
    if (keys.size === 0) return undefined;
    await sink.remove([...keys], context);
    // Some stores take one key at a time and say nothing of the others.
    for (const key of await keysUnder(sink, prefix, context)) await sink.remove([key], context);
    const left = (await keysUnder(sink, prefix, context)).length;
    return left === 0 ? undefined : `${sentence}: ${left} are still there after they were removed`;
  } catch (error) {
    return `${sentence}: ${toPgsiloError(error, 'sink.failed').message}`;
  }
}

/** Removes what doctors left that were killed. Rubbish must not keep a sink from being tried out. */
async function sweepDead(session: EngineSession, sink: PipelineSink): Promise<void> {
  const { name: pipeline, clock, log } = session.pipeline;
  const context = session.context(share);
  const root = doctorPrefix(pipeline);
  try {
    const old = newRunId(new Date(clock.now().getTime() - deadAfter));
    const dead = (await keysUnder(sink.sink, root, context))
      .map((key) => key.slice(root.length))
      // An id sorts as its time does.
      .filter((rest) => runFolderForm.test(rest) && rest < old)
      .map((rest) => root + rest);
    if (dead.length === 0) return;
    const retained = await sink.sink.remove(dead, context);
    const objects = dead.length - retained.length;
    if (objects > 0) log.info('swept what a killed doctor left', { sink: sink.name, objects });
  } catch (error) {
    throwIfAborted(session.signal);
    log.warn('leftovers of earlier doctors were not swept', {
      sink: sink.name,
      error: toPgsiloError(error).message,
    });
  }
}

async function keysUnder(sink: Sink, prefix: string, context: Context): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of sink.list(prefix, context)) {
    // A sink that lists more than it was asked for must not lose backups by it.
    if (!key.startsWith(prefix))
      throw new PgsiloError('plugin.invalid', `a listing of ${prefix} gave the key ${key}`);
    keys.push(key);
  }
  return keys;
}

/** Lets nothing be written or removed outside the prefix, whatever a trial makes of what a broken sink lists. */
class WatchedSink implements Sink {
  /** Public, so that whoever prints the one sees the other. */
  readonly inner: Sink;
  readonly #prefix: string;
  readonly #stored: Stored;
  readonly sweep?: NonNullable<Sink['sweep']>;

  constructor(inner: Sink, prefix: string, stored: Stored) {
    this.inner = inner;
    this.#prefix = prefix;
    this.#stored = stored;
    if (inner.sweep) this.sweep = inner.sweep.bind(inner);
  }

  async put(...call: Parameters<Sink['put']>): ReturnType<Sink['put']> {
    this.#mustBeWithin(call[0]);
    this.#stored.keys.add(call[0]);
    const put = this.inner.put(...call);
    this.#stored.pending.add(put);
    try {
      return await put;
    } finally {
      this.#stored.pending.delete(put);
    }
  }

  get(...call: Parameters<Sink['get']>): ReturnType<Sink['get']> {
    return this.inner.get(...call);
  }

  stat(...call: Parameters<Sink['stat']>): ReturnType<Sink['stat']> {
    return this.inner.stat(...call);
  }

  list(...call: Parameters<Sink['list']>): ReturnType<Sink['list']> {
    return this.inner.list(...call);
  }

  async remove(...call: Parameters<Sink['remove']>): ReturnType<Sink['remove']> {
    for (const key of call[0]) this.#mustBeWithin(key);
    const retained = await this.inner.remove(...call);
    for (const key of call[0]) this.#stored.keys.delete(key);
    for (const { key } of retained) this.#stored.keys.add(key);
    return retained;
  }

  check(...call: Parameters<Sink['check']>): ReturnType<Sink['check']> {
    return this.inner.check(...call);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  #mustBeWithin(key: string): void {
    if (!key.startsWith(this.#prefix))
      throw new PgsiloError('internal', `a trial of ${this.#prefix} must not touch ${key}`);
  }
}
