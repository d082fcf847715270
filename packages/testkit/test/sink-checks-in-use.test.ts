import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import type { Body, ObjectInfo, Sink } from '@pgsilo/plugin';
import { PgsiloError, tryOutSink } from '@pgsilo/plugin';
import { runCheck, sinkChecks } from '../src/conformance/index.ts';
import type { SinkCheck, SinkSubject } from '../src/conformance/index.ts';
import { memorySink, memorySinkTraits, testContext } from '../src/index.ts';
import type { MemorySink } from '../src/index.ts';

const mebibyte = 1024 * 1024;
const quick = sinkChecks.filter(({ cost }) => cost !== 'heavy');
const heavy = sinkChecks.filter(({ cost }) => cost === 'heavy');

/** As doctor makes it of a user's store, with `--full` or without. */
function subjectOf(sink: Sink, full = false): SinkSubject {
  const prefix = 'vigia/doctor/20261121T020000Z-7f3a9c/';
  const size = full ? {} : { largeBytes: mebibyte / 4 };
  return { sink, traits: memorySinkTraits, prefix, shared: true, secrets: [], ...size };
}

function withBackup(): MemorySink {
  const sink = memorySink();
  sink.objects.set('vigia/units/acme/manifest.json', { bytes: Buffer.from('{}'), modified: new Date() });
  return sink;
}

/** The same sink; `before` and `after` are told of each call, numbered from 1. */
function counted(
  inner: Sink,
  before: (call: number) => void,
  after: (call: number) => void = () => {},
): Sink {
  let calls = 0;
  function begun(): number {
    before((calls += 1));
    return calls;
  }
  async function simple<T>(call: () => Promise<T>): Promise<T> {
    const number = begun();
    const result = await call();
    after(number);
    return result;
  }
  async function* streamed<T>(items: () => AsyncIterable<T>): AsyncGenerator<T> {
    const number = begun();
    yield* items();
    after(number);
  }
  return {
    put: (...call) => simple(() => inner.put(...call)),
    get: (...call) => streamed(() => inner.get(...call)),
    stat: (...call) => simple(() => inner.stat(...call)),
    list: (...call) => streamed(() => inner.list(...call)),
    remove: (...call) => simple(() => inner.remove(...call)),
    check: (context) => streamed(() => inner.check(context)),
    close: () => inner.close(),
    sweep: async () => 0,
  };
}

async function costOf(
  check: SinkCheck,
  full = false,
): Promise<{ readonly calls: number; readonly bytes: number }> {
  let calls = 0;
  let bytes = 0;
  const inner = memorySink();
  async function* weighed(body: Body): Body {
    for await (const chunk of body) {
      bytes += chunk.length;
      yield chunk;
    }
  }
  const sink = counted(
    { ...inner, put: (key, body, ...rest) => inner.put(key, weighed(body), ...rest) },
    () => (calls += 1),
  );
  await runCheck(check, async () => subjectOf(sink, full), testContext());
  return { calls, bytes };
}

// Whole suites run in one test, on machines that have other work too.
vi.setConfig({ testTimeout: 120_000 });

describe('what checks cost', () => {
  test('the quick ones together send less than 3 MiB in fewer than 300 calls', async () => {
    const costs: Awaited<ReturnType<typeof costOf>>[] = [];
    for (const check of quick) costs.push(await costOf(check));
    const sum = (of: 'calls' | 'bytes'): number => costs.reduce((total, cost) => total + cost[of], 0);
    expect(sum('calls')).toBeLessThan(300);
    expect(sum('bytes')).toBeLessThan(3 * mebibyte);
  });

  test('each heavy one sends more than a mebibyte or hundreds of calls', async () => {
    expect(heavy.length).toBeGreaterThan(0);
    for (const check of heavy) {
      const { calls, bytes } = await costOf(check, true);
      expect({ check: check.name, heavy: calls > 500 || bytes > mebibyte }).toEqual({
        check: check.name,
        heavy: true,
      });
    }
  });
});

describe('a check that is interrupted at any of its calls leaves nothing', () => {
  test.each(quick.map((check) => [check.name, check] as const))('%s', async (_name, check) => {
    const { calls } = await costOf(check);
    expect(calls).toBeGreaterThan(0);
    const step = Math.max(1, Math.floor(calls / 12));
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; at <= calls; at += step) {
        const inner = withBackup();
        const context = testContext();
        const abort = (call: number): void => void (call === at && context.abort());
        const nothing = (): void => {};
        const sink = when === 'before' ? counted(inner, abort) : counted(inner, nothing, abort);
        await runCheck(check, async () => subjectOf(sink), context);
        expect({ when, at, left: [...inner.objects.keys()] }).toEqual({
          when,
          at,
          left: ['vigia/units/acme/manifest.json'],
        });
      }
    }
  });
});

async function statusOf(name: string, sink: Sink): Promise<string> {
  const check = sinkChecks.find((one) => one.name === name)!;
  return (await runCheck(check, async () => subjectOf(sink), testContext())).status;
}

test('a check that fails waits for what it is still storing, and then clears it away', async () => {
  const inner = withBackup();
  const late: Promise<unknown>[] = [];
  const failed = Promise.withResolvers<void>();
  const sink: Sink = {
    ...inner,
    async put(...call) {
      if (call[0].endsWith('/-rf')) {
        failed.resolve();
        throw new PgsiloError('sink.failed', 'no');
      }
      const put = failed.promise.then(() => sleep(100)).then(() => inner.put(...call));
      late.push(put);
      return put;
    },
  };
  const check = sinkChecks.find(({ name }) => name === 'awkward keys')!;
  const { status } = await runCheck(check, async () => subjectOf(sink), testContext());
  await Promise.all(late);
  expect(status).toBe('failed');
  expect(late.length).toBeGreaterThan(5);
  expect([...inner.objects.keys()]).toEqual(['vigia/units/acme/manifest.json']);
});

describe('in a store that others use', () => {
  test('a check that leaves its object is found', async () => {
    const inner = withBackup();
    const sink: Sink = {
      ...inner,
      async *check(context) {
        yield await tryOutSink({ ...inner, remove: async () => [] }, context);
      },
    };
    expect(await statusOf('check leaves nothing', sink)).toBe('failed');
    expect(await statusOf('check leaves nothing', inner)).toBe('passed');
  });

  test("another's check that is going on is none of its business", async () => {
    const inner = withBackup();
    let lists = 0;
    const other = (): void =>
      void inner.objects.set('pgsilo-check-another/object', {
        bytes: Buffer.from('x'),
        modified: new Date(),
      });
    const sink: Sink = {
      ...inner,
      async *check(context) {
        yield* inner.check(context);
        other();
      },
      async *list(prefix, context): AsyncGenerator<ObjectInfo> {
        if (prefix === 'pgsilo-check-' && (lists += 1) === 3)
          inner.objects.delete('pgsilo-check-another/object');
        yield* inner.list(prefix, context);
      },
    };
    expect(await statusOf('check leaves nothing', sink)).toBe('passed');
    expect(lists).toBe(3);
  });

  test('nothing outside the prefix and the place of trials is listed', async () => {
    const inner = withBackup();
    const listed = new Set<string>();
    const { prefix } = subjectOf(inner);
    for (const check of sinkChecks) {
      const sink: Sink = {
        ...inner,
        list(wanted, context) {
          listed.add(wanted);
          return inner.list(wanted, context);
        },
      };
      await runCheck(check, async () => ({ ...subjectOf(sink), keysPerPage: 20 }), testContext());
    }
    const outside = [...listed].filter((wanted) => !wanted.startsWith(prefix!));
    expect(outside).toEqual(['pgsilo-check-']);
  });

  test('a sink that lists everything, whatever the prefix, loses no backup by its own fault', async () => {
    const inner = withBackup();
    const sink: Sink = { ...inner, list: (_prefix, context) => inner.list('', context) };
    const statuses: string[] = [];
    for (const check of quick)
      statuses.push((await runCheck(check, async () => subjectOf(sink), testContext())).status);
    expect(statuses).toContain('failed');
    expect([...inner.objects.keys()]).toEqual(['vigia/units/acme/manifest.json']);
  });
});
