import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { PgsiloError } from '@pgsilo/plugin';
import type {
  Body,
  HeldLock,
  Job,
  LockAttempt,
  Logger,
  Plan,
  Sink,
  Source,
  SourceItem,
  Transform,
  Unit,
  UnitFacts,
} from '@pgsilo/plugin';
import type { Limits, Pipeline } from '../src/pipeline.ts';

export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export const facts: UnitFacts = {
  status: 'good',
  snapshotAt: '2026-11-21T02:00:00.000Z',
  server: { version: '15.18' },
  tool: 'pg_dump 15.18',
};

export function unit(name: string, labels: Record<string, string> = {}): Unit {
  return { name, labels, origin: { database: name } };
}

export function job(name: string, estimatedBytes?: number): Job {
  return {
    id: `db ${name}`,
    units: [unit(name)],
    ...(estimatedBytes === undefined ? {} : { estimatedBytes }),
  };
}

export async function* bytes(...chunks: string[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

/** What a job yields when nothing is wrong with it. */
export async function* goodRead(
  given: Job,
  body: (name: string) => Body = (name) => bytes('dump of ', name),
): AsyncGenerator<SourceItem, void, undefined> {
  for (const { name } of given.units) {
    yield { type: 'artifact', unit: name, name: 'database.dump', format: 'pg-custom', body: body(name) };
    yield { type: 'artifact', unit: name, name: 'settings.json', format: 'json', body: bytes('{}') };
    yield { type: 'facts', unit: name, facts };
  }
}

export interface FakeSource extends Source {
  jobs: readonly Job[];
  missing: Plan['missing'];
  /** Names of jobs in the order in which they were begun. */
  readonly begun: string[];
  /** Most reads at once. */
  widest: number;
  readWith: (given: Job, attempt: number, signal: AbortSignal) => AsyncIterable<SourceItem>;
  lockWith: (() => LockAttempt) | undefined;
  readonly lockLost: AbortController;
}

export function fakeSource(...jobs: Job[]): FakeSource {
  const attempts = new Map<string, number>();
  const lockLost = new AbortController();
  let running = 0;
  const held: HeldLock = { held: true, lost: lockLost.signal, release: () => Promise.resolve() };
  const source: FakeSource = {
    jobs,
    missing: [],
    begun: [],
    widest: 0,
    lockLost,
    lockWith: undefined,
    readWith: (given) => goodRead(given),
    plan: () => Promise.resolve({ jobs: source.jobs, missing: source.missing, warnings: [] }),
    async *read(given, context) {
      const attempt = (attempts.get(given.id) ?? 0) + 1;
      attempts.set(given.id, attempt);
      source.begun.push(given.id);
      source.widest = Math.max(source.widest, ++running);
      try {
        await delay(1);
        yield* source.readWith(given, attempt, context.signal);
      } finally {
        running -= 1;
      }
    },
    restore: () => Promise.reject(new PgsiloError('restore.refused', 'a fake')),
    async *check() {
      yield { name: 'server', status: 'ok', message: 'fine' };
    },
    lock: () => Promise.resolve(source.lockWith?.() ?? held),
    close: () => Promise.resolve(),
  };
  return source;
}

/** Gzip as a whole, under the name `zip`. */
export const zip: Transform = {
  suffix: '.zip',
  async encode(body) {
    return { body: whole(body, gzipSync), parameters: { level: 6 } };
  },
  decode: (body) =>
    whole(body, (data) => {
      try {
        return gunzipSync(data);
      } catch (cause) {
        throw new PgsiloError('transform.corrupt', 'not gzip', { cause });
      }
    }),
  byHand: () => 'gzip -d',
};

async function* whole(
  body: Body,
  change: (data: Buffer) => Buffer,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  yield change(Buffer.concat(chunks));
}

export function fakePipeline(
  source: Source,
  sinks: Record<string, Sink>,
  given: { optional?: readonly string[]; limits?: Partial<Limits>; transforms?: boolean } = {},
): Pipeline {
  return {
    name: 'vigia',
    source: { use: 'fake', source, traits: { consistency: 'unit', pointInTime: false } },
    transforms: given.transforms ? [{ use: 'zip', transform: zip }] : [],
    openTransform: (use) =>
      use === 'zip' ? Promise.resolve(zip) : Promise.reject(new PgsiloError('plugin.unknown', use)),
    sinks: Object.entries(sinks).map(([name, sink]) => ({
      name,
      use: 'memory',
      required: !given.optional?.includes(name),
      sink,
      traits: { createOnly: 'native', ranges: true, objectLock: false, largestObject: 2 ** 40, parts: false },
    })),
    limits: { jobs: 2, memory: 2 ** 26, attempts: 3, backoff: 1, ...given.limits },
    labels: {},
    scratch: tmpdir(),
    clock: {
      now: () => new Date(),
      sleep: (milliseconds, signal) => delay(milliseconds, undefined, signal ? { signal } : {}),
    },
    log: silent,
    version: '0.1.0',
  };
}
