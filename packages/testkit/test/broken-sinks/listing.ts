import { closeSync, openSync } from 'node:fs';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { ObjectInfo } from '@pgsilo/plugin';
import { fake, fakeKeysPerPage } from './fake.ts';
import type { BrokenSink } from './fake.ts';

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

export const listingFakes: readonly BrokenSink[] = [
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
