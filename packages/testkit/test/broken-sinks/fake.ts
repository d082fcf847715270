import type { Context, Sink } from '@pgsilo/plugin';
import { memorySink } from '../../src/index.ts';
import type { MemorySink } from '../../src/index.ts';

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

export function fake(fails: string, does: string, change: (inner: MemorySink) => Partial<Sink>): BrokenSink {
  return {
    does,
    fails,
    make() {
      const inner = memorySink();
      return { ...inner, ...change(inner) };
    },
  };
}

export function deaf(context: Context): Context {
  return { ...context, signal: never };
}

export function store(inner: MemorySink, key: string, bytes: Buffer): void {
  inner.objects.set(key, { bytes, modified: new Date() });
}
