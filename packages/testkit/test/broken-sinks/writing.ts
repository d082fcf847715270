import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Body, Context } from '@pgsilo/plugin';
import { memorySink } from '../../src/index.ts';
import { deaf, fake, store } from './fake.ts';
import type { BrokenSink } from './fake.ts';

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

export const writingFakes: readonly BrokenSink[] = [
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
  fake('second put is refused', 'overwrites', (inner) => ({
    async put(key, ...rest) {
      inner.objects.delete(key);
      return inner.put(key, ...rest);
    },
  })),
  fake('second put is refused', 'refuses, and has cut the first by then', (inner) => {
    const whole = new Set<string>();
    return {
      async put(key, ...rest) {
        const first = whole.has(key) ? inner.objects.get(key) : undefined;
        if (first) store(inner, key, first.bytes.subarray(1));
        const stored = await inner.put(key, ...rest);
        whole.add(key);
        return stored;
      },
    };
  }),
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
