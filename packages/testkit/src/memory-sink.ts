import { setImmediate as nextTurn } from 'node:timers/promises';
import { abortReason, PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Body, ByteRange, Context, ObjectInfo, Sink, SinkTraits } from '@pgsilo/plugin';

interface StoredBytes {
  readonly bytes: Buffer;
  readonly modified: Date;
}

/** A sink that keeps its objects in memory, and lets a test look at and damage them. */
export interface MemorySink extends Sink {
  readonly objects: Map<string, StoredBytes>;
}

export const memorySinkTraits: SinkTraits = {
  createOnly: 'native',
  ranges: true,
  objectLock: false,
  largestObject: 1024 ** 3,
  parts: false,
};

const chunkBytes = 64 * 1024;

export function memorySink(): MemorySink {
  const objects = new Map<string, StoredBytes>();
  return {
    objects,
    async put(key, body, _hint, context) {
      throwIfAborted(context.signal);
      const taken = new PgsiloError('sink.exists', `there is an object ${key} already`);
      if (objects.has(key)) throw taken;
      const bytes = Buffer.concat(await gather(body, context));
      if (objects.has(key)) throw taken;
      objects.set(key, { bytes, modified: context.clock.now() });
      return { bytes: bytes.length };
    },
    get: (key, range, context) => read(objects, key, range, context),
    async stat(key, context) {
      throwIfAborted(context.signal);
      return infoOf(key, find(objects, key));
    },
    async *list(prefix, context): AsyncGenerator<ObjectInfo> {
      for (const key of [...objects.keys()].sort()) {
        throwIfAborted(context.signal);
        const found = objects.get(key);
        if (found && key.startsWith(prefix)) yield infoOf(key, found);
      }
      throwIfAborted(context.signal);
    },
    async remove(keys, context) {
      throwIfAborted(context.signal);
      for (const key of keys) objects.delete(key);
      return [];
    },
    async *check() {
      yield { name: 'memory', status: 'ok', message: `${objects.size} objects` };
    },
    async close() {},
  };
}

function infoOf(key: string, stored: StoredBytes): ObjectInfo {
  return { key, bytes: stored.bytes.length, modified: stored.modified };
}

function find(objects: ReadonlyMap<string, StoredBytes>, key: string): StoredBytes {
  const found = objects.get(key);
  if (found === undefined) throw new PgsiloError('sink.not-found', `there is no object ${key}`);
  return found;
}

async function* read(
  objects: ReadonlyMap<string, StoredBytes>,
  key: string,
  range: ByteRange | undefined,
  context: Context,
): Body {
  throwIfAborted(context.signal);
  const { bytes } = find(objects, key);
  const end = range === undefined ? bytes.length : range.offset + range.length;
  if (end > bytes.length)
    throw new PgsiloError('sink.corrupt', `${key} has ${bytes.length} bytes, ${end} were asked for`);
  for (let at = range?.offset ?? 0; at < end; at += chunkBytes) {
    throwIfAborted(context.signal);
    // A copy: what a reader does with it must not reach the object.
    yield Buffer.from(bytes.subarray(at, Math.min(end, at + chunkBytes)));
  }
}

async function gather(body: Body, { signal, memory }: Context): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let held = 0;
  const iterator = body[Symbol.asyncIterator]();
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  const stop = (): void => aborted.reject(abortReason(signal));
  signal.addEventListener('abort', stop, { once: true });
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted.promise]);
      throwIfAborted(signal);
      if (next.done) return chunks;
      chunks.push(Buffer.from(next.value));
      held += next.value.length;
      if (held < memory) continue;
      // Other stores, too, take nothing before the process turns to them.
      await nextTurn();
      held = 0;
    }
  } catch (error) {
    if (signal.aborted) void iterator.return?.()?.catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
