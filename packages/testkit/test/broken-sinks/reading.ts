import { closeSync, openSync } from 'node:fs';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Context } from '@pgsilo/plugin';
import { collect } from '../../src/index.ts';
import { deaf, fake } from './fake.ts';
import type { BrokenSink } from './fake.ts';

/** Ignores a signal that is aborted at the start, and only that. */
function slowToHear(context: Context): Context {
  return context.signal.aborted ? deaf(context) : context;
}

export const readingFakes: readonly BrokenSink[] = [
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
