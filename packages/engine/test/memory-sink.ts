import type { Sink } from '@pgsilo/plugin';
import { memorySink as plainSink } from '@pgsilo/testkit';

export interface LoggedSink extends Sink {
  /** What is stored, to be looked at and damaged. */
  readonly objects: {
    get(key: string): Buffer | undefined;
    set(key: string, bytes: Uint8Array): void;
    has(key: string): boolean;
    delete(key: string): void;
    keys(): Iterable<string>;
  };
  /** Every key put or removed, in order. */
  readonly log: string[];
}

/** The testkit's memory sink, with a log of what was done to it. */
export function memorySink(): LoggedSink {
  const sink = plainSink();
  const log: string[] = [];
  return {
    ...sink,
    log,
    objects: {
      get: (key) => sink.objects.get(key)?.bytes,
      set: (key, bytes) => sink.objects.set(key, { bytes: Buffer.from(bytes), modified: new Date() }),
      has: (key) => sink.objects.has(key),
      delete: (key) => sink.objects.delete(key),
      keys: () => [...sink.objects.keys()],
    },
    async put(key, ...rest) {
      const stored = await sink.put(key, ...rest);
      log.push(`put ${key}`);
      return stored;
    },
    async remove(keys, context) {
      log.push(...keys.map((key) => `remove ${key}`));
      return sink.remove(keys, context);
    },
  };
}
