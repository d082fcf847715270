import { isPgsiloError, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Body, ObjectInfo, PutHint, RetainedObject } from '@pgsilo/plugin';
import type { EngineSession } from './session.ts';
import type { PipelineSink } from './pipeline.ts';
import { backoffDelay, withRetry } from './retry.ts';
import type { RetryPolicy } from './retry.ts';

/** Documents (manifests, runs, notes) are small; more than this is not one of ours. */
const largestDocument = 64 * 2 ** 20;
/** The part of the memory budget that a call with a small document gets. */
const documentShare = 1 / 32;
const sinkAttempts = 4;
const sinkBackoff = 500;

/** How often and how patiently single calls of a sink are repeated. */
export function sinkPolicy(session: EngineSession, sink: PipelineSink, signal: AbortSignal): RetryPolicy {
  return {
    attempts: sinkAttempts,
    backoff: sinkBackoff,
    clock: session.pipeline.clock,
    signal,
    onRetry: (error, attempt, delay) => {
      session.retries.count += 1;
      session.pipeline.log.warn('sink call repeated', {
        sink: sink.name,
        code: error.code,
        error: error.message,
        attempt,
        delay,
      });
    },
  };
}

/** Stores bytes that are held in memory, so the call can be repeated. */
export async function putDocument(
  session: EngineSession,
  sink: PipelineSink,
  key: string,
  bytes: Uint8Array,
  kind: PutHint['kind'],
  signal: AbortSignal = session.signal,
): Promise<void> {
  const context = session.context(documentShare, signal);
  let repeated = false;
  await withRetry(sinkPolicy(session, sink, signal), 'sink.failed', async () => {
    try {
      const stored = await sink.sink.put(
        key,
        once(bytes),
        { kind, estimatedBytes: bytes.byteLength },
        context,
      );
      if (stored.bytes !== bytes.byteLength) {
        throw new PgsiloError(
          'sink.corrupt',
          `sink ${sink.name} stored ${stored.bytes} of ${bytes.byteLength} bytes of ${key}`,
        );
      }
    } catch (error) {
      // A repeated put may find its own first try, whose answer was lost.
      const found = repeated && isPgsiloError(error) && error.code === 'sink.exists';
      if (!found || !Buffer.from(await readAll(sink.sink.get(key, undefined, context), key)).equals(bytes))
        throw error;
    } finally {
      repeated = true;
    }
  });
}

/** A small object, whole. */
export function getDocument(session: EngineSession, sink: PipelineSink, key: string): Promise<Uint8Array> {
  return withRetry(sinkPolicy(session, sink, session.signal), 'sink.failed', () =>
    readAll(sink.sink.get(key, undefined, session.context(documentShare)), key),
  );
}

/** As {@link getDocument}, but undefined when it is not there. */
export async function findDocument(
  session: EngineSession,
  sink: PipelineSink,
  key: string,
): Promise<Uint8Array | undefined> {
  try {
    return await getDocument(session, sink, key);
  } catch (error) {
    if (isPgsiloError(error) && error.code === 'sink.not-found') return undefined;
    throw error;
  }
}

/** A large object of known size: a broken read is taken up again where it broke, as long as the store can read ranges and each try brings something. */
export async function* getObject(
  session: EngineSession,
  sink: PipelineSink,
  key: string,
  bytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { clock, log } = session.pipeline;
  let read = 0;
  let failed = 0;
  for (;;) {
    try {
      const range = read > 0 ? { offset: read, length: bytes - read } : undefined;
      for await (const chunk of sink.sink.get(key, range, session.context())) {
        read += chunk.byteLength;
        failed = 0;
        if (read > bytes)
          throw new PgsiloError(
            'sink.corrupt',
            `${key} in sink ${sink.name} is longer than the ${bytes} bytes that were stored`,
          );
        yield chunk;
      }
      if (read < bytes)
        throw new PgsiloError(
          'sink.corrupt',
          `${key} in sink ${sink.name} ends after ${read} of ${bytes} bytes`,
        );
      return;
    } catch (thrown) {
      const error = toPgsiloError(thrown, 'sink.failed');
      failed += 1;
      const resumable = read === 0 || (sink.traits.ranges && read < bytes);
      if (!error.retryable || !resumable || failed >= sinkAttempts || session.signal.aborted) throw error;
      const delay = backoffDelay(sinkBackoff, failed);
      session.retries.count += 1;
      log.warn('read taken up again', { sink: sink.name, key, at: read, code: error.code, delay });
      await clock.sleep(delay, session.signal);
    }
  }
}

/** What lies under a prefix. Repeated only while nothing was handed out yet. */
export async function* listObjects(
  session: EngineSession,
  sink: PipelineSink,
  prefix: string,
): AsyncGenerator<ObjectInfo, void, undefined> {
  let begun = false;
  for (let failed = 1; ; failed++) {
    try {
      for await (const info of sink.sink.list(prefix, session.context(documentShare))) {
        begun = true;
        yield info;
      }
      return;
    } catch (thrown) {
      const error = toPgsiloError(thrown, 'sink.failed');
      if (begun || !error.retryable || failed >= sinkAttempts || session.signal.aborted) throw error;
      session.retries.count += 1;
      await session.pipeline.clock.sleep(backoffDelay(sinkBackoff, failed), session.signal);
    }
  }
}

/** @returns the objects that the store does not give up yet. */
export async function removeObjects(
  session: EngineSession,
  sink: PipelineSink,
  keys: readonly string[],
  signal: AbortSignal = session.signal,
): Promise<readonly RetainedObject[]> {
  if (keys.length === 0) return [];
  return withRetry(sinkPolicy(session, sink, signal), 'sink.failed', () =>
    sink.sink.remove(keys, session.context(documentShare, signal)),
  );
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.byteLength > 0) yield bytes;
}

async function readAll(body: Body, key: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > largestDocument)
      throw new PgsiloError('catalog.corrupt', `${key} is too large to be a manifest or a run`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
