import { closeSync, openSync } from 'node:fs';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import type { Sink } from '@pgsilo/plugin';
import { fake, fakeSecret, leaks, store } from './fake.ts';
import type { BrokenSink } from './fake.ts';

export const conductFakes: readonly BrokenSink[] = [
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

function leakFile(): number {
  const file = openSync('/dev/null', 'r');
  leaks.push(() => closeSync(file));
  return file;
}
