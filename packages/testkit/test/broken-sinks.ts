import { closeSync, openSync } from 'node:fs';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Body, Context, ObjectInfo, Sink } from '@pgsilo/plugin';
import { collect, memorySink } from '../src/index.ts';
import type { MemorySink } from '../src/index.ts';

/** A sink that breaks one promise, and the only check that may find fault with it. */
export interface BrokenSink {
  readonly does: string;
  readonly fails: string;
  make(): Sink;
}

/** What stands in the options of every fake. */
export const fakeSecret = 'hunter2-hunter2';
export const fakeLargeBytes: number = 1024 * 1024;
export const fakeKeysPerPage = 50;

/** Leaks of the fakes, to be ended after the tests. */
export const leaks: (() => void)[] = [];

const never: Context['signal'] = new AbortController().signal;

function fake(fails: string, does: string, change: (inner: MemorySink) => Partial<Sink>): BrokenSink {
  return {
    does,
    fails,
    make() {
      const inner = memorySink();
      return { ...inner, ...change(inner) };
    },
  };
}

function deaf(context: Context): Context {
  return { ...context, signal: never };
}

/** Ignores a signal that is aborted at the start, and only that. */
function slowToHear(context: Context): Context {
  return context.signal.aborted ? deaf(context) : context;
}

function store(inner: MemorySink, key: string, bytes: Buffer): void {
  inner.objects.set(key, { bytes, modified: new Date() });
}

async function* recorded(body: Body, chunks: Uint8Array[], context: Context, onFailure?: () => void): Body {
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      yield chunk;
    }
  } catch (error) {
    if (!context.signal.aborted) onFailure?.();
    throw error;
  }
}

function leakFile(): number {
  const file = openSync('/dev/null', 'r');
  leaks.push(() => closeSync(file));
  return file;
}

const writing: readonly BrokenSink[] = [
  fake('read after write', 'tells a wrong size', (inner) => ({
    put: async (...call) => ({ bytes: (await inner.put(...call)).bytes + 1 }),
  })),
  fake('empty body', 'stores nothing for an empty body', (inner) => ({
    async put(key, ...rest) {
      const stored = await inner.put(key, ...rest);
      if (stored.bytes === 0) inner.objects.delete(key);
      return stored;
    },
  })),
  fake('body of one byte', 'alters a body of one byte', (inner) => ({
    async put(key, ...rest) {
      const stored = await inner.put(key, ...rest);
      if (stored.bytes === 1) store(inner, key, Buffer.from([inner.objects.get(key)!.bytes[0]! ^ 1]));
      return stored;
    },
  })),
  fake('body of many parts', 'loses the last part', (inner) => ({
    async put(key, ...rest) {
      const stored = await inner.put(key, ...rest);
      if (stored.bytes > fakeLargeBytes)
        store(inner, key, inner.objects.get(key)!.bytes.subarray(0, fakeLargeBytes));
      return stored;
    },
  })),
  fake('second put is refused', 'overwrites', (inner) => ({
    async put(key, ...rest) {
      inner.objects.delete(key);
      return inner.put(key, ...rest);
    },
  })),
  fake('second put is refused', 'refuses with another code', (inner) => ({
    async put(key, ...rest) {
      if (inner.objects.has(key)) throw new PgsiloError('sink.denied', 'no');
      return inner.put(key, ...rest);
    },
  })),
  fake('two writers, one winner', 'looks only before it writes', (inner) => ({
    async put(key, body, hint, context) {
      if (inner.objects.has(key)) throw new PgsiloError('sink.exists', 'there already');
      const aside = `${key}/${Math.random()}`;
      const other = memorySink();
      const stored = await other.put(aside, body, hint, context);
      store(inner, key, other.objects.get(aside)!.bytes);
      return stored;
    },
  })),
  fake('invisible until whole', 'shows what it has so far', (inner) => {
    const half = new Set<string>();
    return {
      async put(key, body, hint, context) {
        const other = memorySink();
        throwIfAborted(context.signal);
        if (inner.objects.has(key) && !half.has(key)) throw new PgsiloError('sink.exists', 'there already');
        const seen = inner.objects;
        async function* shown(): Body {
          for await (const chunk of body) {
            half.add(key);
            if (!seen.has(key)) store(inner, key, Buffer.from(chunk));
            yield chunk;
          }
        }
        try {
          const stored = await other.put(key, shown(), hint, context);
          if (seen.has(key) && !half.has(key)) throw new PgsiloError('sink.exists', 'there already');
          store(inner, key, other.objects.get(key)!.bytes);
          return stored;
        } catch (error) {
          if (half.has(key)) seen.delete(key);
          throw error;
        } finally {
          half.delete(key);
        }
      },
    };
  }),
  fake('body that throws', 'keeps what came before the error', (inner) => ({
    put(key, body, hint, context) {
      const chunks: Uint8Array[] = [];
      return inner.put(
        key,
        recorded(body, chunks, context, () => store(inner, key, Buffer.concat(chunks))),
        hint,
        context,
      );
    },
  })),
  fake('body that throws', 'takes an error for the end', (inner) => ({
    put(key, body, hint, context) {
      async function* ended(): Body {
        try {
          yield* body;
        } catch {
          // As a pipe does when its producer dies.
        }
      }
      return inner.put(key, ended(), hint, context);
    },
  })),
  fake('body that throws', 'throws an error of its own instead', (inner) => ({
    put(key, body, hint, context) {
      async function* wrapped(): Body {
        try {
          yield* body;
        } catch (cause) {
          throw new PgsiloError('sink.failed', 'upload failed', { cause });
        }
      }
      return inner.put(key, wrapped(), hint, context);
    },
  })),
  fake('abort of a put', 'waits for a body that stalls', (inner) => ({
    async put(key, body, hint, context) {
      throwIfAborted(context.signal);
      return inner.put(key, body, hint, deaf(context));
    },
  })),
  fake('abort of a put', 'keeps what it had at an abort', (inner) => ({
    async put(key, body, hint, context) {
      throwIfAborted(context.signal);
      const chunks: Uint8Array[] = [];
      try {
        return await inner.put(key, recorded(body, chunks, context), hint, context);
      } catch (error) {
        if (context.signal.aborted) store(inner, key, Buffer.concat(chunks));
        throw error;
      }
    },
  })),
  fake('abort of a put', 'resolves at an abort', (inner) => ({
    async put(key, body, hint, context) {
      throwIfAborted(context.signal);
      try {
        return await inner.put(key, body, hint, context);
      } catch (error) {
        if (context.signal.aborted) return { bytes: 0 };
        throw error;
      }
    },
  })),
  fake('sweep spares the living', 'sweeps what is being written', (inner) => {
    let sweeps = 0;
    return {
      async put(...call) {
        const before = sweeps;
        const stored = await inner.put(...call);
        if (sweeps === before) return stored;
        inner.objects.delete(call[0]);
        throw new PgsiloError('sink.failed', 'it was swept away');
      },
      async sweep() {
        sweeps += 1;
        return 0;
      },
    };
  }),
  fake('sweep spares the living', 'sweeps whole objects', (inner) => ({
    async sweep(prefix) {
      const found = [...inner.objects.keys()].filter((key) => key.startsWith(prefix));
      for (const key of found) inner.objects.delete(key);
      return found.length;
    },
  })),
];

const reading: readonly BrokenSink[] = [
  fake('missing object', 'throws another code from stat', (inner) => ({
    async stat(key, context) {
      throwIfAborted(context.signal);
      if (!inner.objects.has(key)) throw new PgsiloError('sink.failed', 'HTTP 404');
      return inner.stat(key, context);
    },
  })),
  fake('missing object', 'gives an empty body', (inner) => ({
    async *get(key, range, context) {
      throwIfAborted(context.signal);
      if (inner.objects.has(key)) yield* inner.get(key, range, context);
    },
  })),
  fake('missing object', 'throws an error of no code', (inner) => ({
    async *get(key, range, context) {
      throwIfAborted(context.signal);
      if (!inner.objects.has(key)) throw new Error('ENOENT');
      yield* inner.get(key, range, context);
    },
  })),
  fake('ranges', 'counts from 1', (inner) => ({
    async *get(key, range, context) {
      const whole =
        range &&
        range.offset > 0 &&
        range.offset + range.length <= (inner.objects.get(key)?.bytes.length ?? 0);
      yield* inner.get(key, whole ? { offset: range.offset - 1, length: range.length } : range, context);
    },
  })),
  fake('short range', 'ends early', (inner) => ({
    async *get(key, range, context) {
      const { bytes } = inner.objects.get(key) ?? { bytes: Buffer.alloc(0) };
      if (!range || range.offset + range.length <= bytes.length || !inner.objects.has(key))
        yield* inner.get(key, range, context);
      else yield Buffer.from(bytes.subarray(range.offset));
    },
  })),
  fake('slow reader', 'reads everything first', (inner) => ({
    async *get(key, range, context) {
      const whole = await collect(inner.get(key, range, context));
      for (let at = 0; at < whole.length; at += 65_536) yield whole.subarray(at, at + 65_536);
    },
  })),
  fake('early stop of a read', 'closes its file only at the end', (inner) => ({
    async *get(key, range, context) {
      const body = inner.get(key, range, context);
      let file: number | undefined;
      for await (const chunk of body) {
        file ??= openSync('/dev/null', 'r');
        yield chunk;
      }
      if (file !== undefined) closeSync(file);
    },
  })),
  fake('calls after an abort', 'does not hear it in stat', (inner) => ({
    stat: (key, context) => inner.stat(key, deaf(context)),
  })),
  fake('calls after an abort', 'does not hear it in get', (inner) => ({
    get: (key, range, context) => inner.get(key, range, deaf(context)),
  })),
  fake('calls after an abort', 'does not hear it in list', (inner) => ({
    list: (prefix, context) => inner.list(prefix, deaf(context)),
  })),
  fake('calls after an abort', 'does not hear it in put', (inner) => ({
    put: (key, body, hint, context) => inner.put(key, body, hint, slowToHear(context)),
  })),
  fake('calls after an abort', 'does not hear it in remove', (inner) => ({
    remove: (keys, context) => inner.remove(keys, deaf(context)),
  })),
];

async function* only(
  found: AsyncIterable<ObjectInfo>,
  wanted: (key: string, index: number) => boolean,
): AsyncGenerator<ObjectInfo> {
  let index = 0;
  for await (const object of found) {
    if (wanted(object.key, index)) yield object;
    index += 1;
  }
}

const listing: readonly BrokenSink[] = [
  fake('awkward keys', 'hides names that begin with a dot', (inner) => ({
    list: (prefix, context) => only(inner.list(prefix, context), (key) => !/(^|\/)\./.test(key)),
  })),
  fake('awkward keys', 'cuts long keys', (inner) => ({
    put: (key, ...rest) => inner.put(key.slice(0, 400), ...rest),
    get: (key, ...rest) => inner.get(key.slice(0, 400), ...rest),
  })),
  fake('prefix is plain text', 'takes a prefix for a folder', (inner) => ({
    list: (prefix, context) =>
      only(
        inner.list(prefix, context),
        (key) => prefix === '' || prefix.endsWith('/') || key === prefix || key.startsWith(`${prefix}/`),
      ),
  })),
  fake('prefix is plain text', 'throws where nothing is found', (inner) => ({
    async *list(prefix, context) {
      yield* inner.list(prefix, context);
      if (prefix.endsWith('/no/such/')) throw new PgsiloError('sink.not-found', 'no such folder');
    },
  })),
  fake('more keys than a page', 'stops after a page', (inner) => ({
    list: (prefix, context) => only(inner.list(prefix, context), (_key, index) => index < fakeKeysPerPage),
  })),
  fake('more keys than a page', 'begins a page with the last key of the one before', (inner) => ({
    async *list(prefix, context) {
      let count = 0;
      for await (const object of inner.list(prefix, context)) {
        yield object;
        count += 1;
        if (count % fakeKeysPerPage === 0) yield object;
      }
    },
  })),
  fake('early stop of a listing', 'never ends when it is left', (inner) => ({
    list: (prefix, context) => ({
      [Symbol.asyncIterator]() {
        const found = inner.list(prefix, context)[Symbol.asyncIterator]();
        return { next: () => found.next(), return: () => new Promise<never>(() => {}) };
      },
    }),
  })),
  fake('early stop of a listing', 'leaves a file open when it is left', (inner) => ({
    async *list(prefix, context) {
      let file: number | undefined;
      for await (const object of inner.list(prefix, context)) {
        file ??= openSync('/dev/null', 'r');
        yield object;
      }
      if (file !== undefined) closeSync(file);
    },
  })),
  fake('remove', 'removes what begins alike', (inner) => ({
    async remove(keys, context) {
      const alike = [...inner.objects.keys()].filter((key) => keys.some((wanted) => key.startsWith(wanted)));
      return inner.remove(alike, context);
    },
  })),
  fake('remove', 'throws where there is nothing to remove', (inner) => ({
    async remove(keys, context) {
      throwIfAborted(context.signal);
      for (const key of keys) if (!inner.objects.has(key)) throw new PgsiloError('sink.not-found', key);
      return inner.remove(keys, context);
    },
  })),
  fake('remove', 'forgets all but the first', (inner) => ({
    remove: (keys, context) => inner.remove(keys.slice(0, 1), context),
  })),
];

const conduct: readonly BrokenSink[] = [
  fake('check leaves nothing', 'leaves its scratch object', (inner) => ({
    async *check(context) {
      store(inner, 'scratch', Buffer.from('x'));
      yield* inner.check(context);
    },
  })),
  fake('check leaves nothing', 'finds fault with a sound store', () => ({
    async *check() {
      yield { name: 'write access', status: 'failed', message: 'no' };
    },
  })),
  fake('check leaves nothing', 'says nothing', () => ({
    async *check() {
      // Nothing was tried, so nothing was found.
    },
  })),
  fake(
    'secrets do not print',
    'keeps its options where they print',
    () => ({ options: { password: fakeSecret } }) as Partial<Sink>,
  ),
  fake('secrets do not print', 'has it in an error', (inner) => ({
    async stat(key, context) {
      throwIfAborted(context.signal);
      if (inner.objects.has(key)) return inner.stat(key, context);
      throw new PgsiloError('sink.not-found', key, {
        cause: new Error(`GET https://key:${fakeSecret}@store/`),
      });
    },
  })),
  fake('secrets do not print', 'logs it', (inner) => ({
    list(prefix, context) {
      context.log.debug('listing', { token: fakeSecret });
      return inner.list(prefix, context);
    },
  })),
  fake('nothing open after close', 'leaves a timer', () => ({
    async close() {
      const timer = setInterval(() => {}, 60_000);
      leaks.push(() => clearInterval(timer));
    },
  })),
  fake('nothing open after close', 'leaves a file open', () => ({
    async close() {
      leakFile();
    },
  })),
];

export const brokenSinks: readonly BrokenSink[] = [...writing, ...reading, ...listing, ...conduct];
