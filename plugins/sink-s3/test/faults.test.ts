import type { Body } from '@pgsilo/plugin';
import { randomBody, recordingLogger, sha256Of, stalledBody, testContext } from '@pgsilo/testkit';
import { describe, expect, it, vi } from 'vitest';
import plugin from '../src/index.ts';
import { createS3Sink } from '../src/sink.ts';
import { artifact, large, mebibyte, useBadNetwork } from './bad-network.ts';
import { errorOf } from './errors-of.ts';
import { gatewayHere } from './gateway.ts';
import { isBodyRead, isCompletion, isPart, isWhole } from './meddler.ts';
import type { Fate } from './meddler.ts';

const installed = await gatewayHere();

describe.skipIf('unavailable' in installed)('a sink behind a bad network', () => {
  const at = useBadNetwork(installed);
  const put = (bytes: number) => at.sink.put(at.key, randomBody(bytes), artifact, at.context);

  const passing: readonly (readonly [string, () => Fate])[] = [
    ['a 503', () => ({ status: 503, code: 'SlowDown' })],
    ['an internal error', () => ({ status: 500, code: 'InternalError' })],
    ['a reset in its middle', () => 'reset'],
    ['a proxy that gives up on it', () => ({ patience: 100 })],
    ['a lost answer', () => 'lose the answer'],
  ];
  it.each(passing)('stores an object of many parts whole when one part meets %s', async (_, fate) => {
    const met = at.meddler.meet(2, isPart, fate);
    expect(await put(large)).toEqual({ bytes: large });
    expect(met()).toBe(2);
    await at.mustBeWhole(large);
  });

  it.each(passing.slice(0, 4))('leaves nothing when all parts meet %s', async (_, fate) => {
    at.meddler.meet(Infinity, isPart, fate);
    const error = await errorOf(put(large));
    expect(error.code).toBe('sink.unreachable');
    expect(error.hint).toMatch(/./);
    await at.mustBeGone();
  });

  it.each([
    ['of many parts', large, isCompletion],
    ['of one request', 1000, isWhole],
  ] as const)(
    'stores an object %s whose last request takes longer than a proxy waits',
    async (_, bytes, makes) => {
      const met = at.meddler.meet(Infinity, makes, () => ({ patience: 100 }));
      expect(await put(bytes)).toEqual({ bytes });
      expect(met()).toBeGreaterThanOrEqual(1);
      at.meddler.decide = () => 'pass';
      await at.mustBeWhole(bytes);
    },
  );

  it('gives a store up that says nothing any more, and leaves nothing', async () => {
    const setup = { pipeline: 'test', folder: '/', log: recordingLogger() };
    const impatient = createS3Sink(plugin.options.parse(at.options()), setup, { silence: 300 });
    const met = at.meddler.meet(Infinity, isPart, () => 'stall');
    const error = await errorOf(impatient.put(at.key, randomBody(large), artifact, at.context));
    expect(error.code).toBe('sink.unreachable');
    expect(met()).toBeGreaterThanOrEqual(3);
    await at.mustBeGone();
    at.meddler.meet(1, isPart, () => 'stall');
    expect(await impatient.put(at.key, randomBody(large), artifact, at.context)).toEqual({ bytes: large });
    at.meddler.meet(Infinity, isBodyRead, () => 'stall');
    const read = errorOf(sha256Of(impatient.get(at.key, undefined, at.context)));
    expect((await read).code).toBe('sink.unreachable');
    await impatient.close();
  });

  it('ends at once when it is aborted while a part stalls', async () => {
    const met = at.meddler.meet(Infinity, isPart, () => 'stall');
    const own = testContext();
    const aborted = errorOf(at.sink.put(at.key, stalledBody(randomBody(large)), artifact, own));
    await vi.waitUntil(() => met() >= 2, { timeout: 20_000, interval: 10 });
    own.abort();
    expect((await aborted).code).toBe('aborted');
    await at.mustBeGone();
    await own.dispose();
  });

  it('ends within the time of the contract when it is aborted while nothing answers', async () => {
    const own = testContext();
    let met = 0;
    at.meddler.decide = (request) => {
      if (met > 0) return 'stall';
      if (!isCompletion(request)) return 'pass';
      met += 1;
      return 'stall';
    };
    const aborted = errorOf(at.sink.put(at.key, randomBody(large), artifact, own));
    await vi.waitUntil(() => met > 0, { timeout: 20_000, interval: 10 });
    const began = performance.now();
    own.abort();
    expect((await aborted).code).toBe('aborted');
    expect(performance.now() - began).toBeLessThan(5_000);
    at.meddler.decide = () => 'pass';
    // Nobody could be told to end it then.
    expect(await at.sink.sweep!('', new Date(Date.now() + 60_000), at.context)).toBe(1);
    await at.mustBeGone();
    await own.dispose();
  });

  it('says that the credentials ran out in the middle of an upload, and shows nothing of them', async () => {
    at.meddler.meet(
      Infinity,
      (request) => isPart(request) && request.url!.includes('partNumber=2'),
      () => ({ status: 400, code: 'ExpiredToken' }),
    );
    const error = await errorOf(put(large));
    expect(error).toMatchObject({ code: 'sink.denied', hint: expect.stringContaining('run out') });
    const seen = `${error.stack}${JSON.stringify(error.cause, Object.getOwnPropertyNames(error.cause))}`;
    expect(seen).not.toContain(at.gateway.accessKeyId);
    expect(seen).not.toMatch(/Signature|authorization/i);
    await at.mustBeGone();
  });

  it('makes no request wait for the end of others, which may last longer than a connection may take', async () => {
    const gate = Promise.withResolvers<void>();
    let met = 0;
    at.meddler.decide = (request) => {
      if (!isWhole(request)) return 'pass';
      met += 1;
      return gate.promise;
    };
    const puts = Array.from({ length: 80 }, (_, index) =>
      at.sink.put(`${at.key}-${index}`, randomBody(10), artifact, at.context),
    );
    await vi.waitUntil(() => met === 80, { timeout: 20_000, interval: 10 });
    gate.resolve();
    expect(await Promise.all(puts)).toHaveLength(80);
  });

  it('has a chance to try again when somebody else has ended its upload', async () => {
    at.meddler.meet(Infinity, isCompletion, () => ({ status: 404, code: 'NoSuchUpload' }));
    const error = await errorOf(put(large));
    expect(error).toMatchObject({ code: 'sink.failed', retryable: true });
    expect(error.hint).toContain('lifecycle');
    await at.mustBeGone();
  });

  it('stores nothing when the body throws between its parts', async () => {
    const error = new Error('pg_dump died');
    let parts = 0;
    at.meddler.done = (request) => {
      if (isPart(request)) parts += 1;
    };
    async function* body(): Body {
      yield* randomBody(large);
      await vi.waitUntil(() => parts >= 2, { timeout: 20_000, interval: 10 });
      throw error;
    }
    await expect(at.sink.put(at.key, body(), artifact, at.context)).rejects.toBe(error);
    await at.mustBeGone();
  });

  it('holds no more in memory than it may while the store is slow', async () => {
    const gate = Promise.withResolvers<void>();
    at.meddler.decide = (request) => (isPart(request) ? gate.promise : 'pass');
    let produced = 0;
    async function* counted(): Body {
      for await (const chunk of randomBody(48 * mebibyte)) {
        produced += chunk.length;
        yield chunk;
      }
    }
    const small = testContext({ memory: 20 * mebibyte });
    const eager = await at.open({ concurrency: 8 });
    const stored = eager.put(at.key, counted(), artifact, small);
    await vi.waitUntil(() => produced >= 14.9 * mebibyte, { timeout: 20_000, interval: 10 });
    // Time to take more than it may, if it would.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(produced).toBeLessThanOrEqual(20.2 * mebibyte);
    gate.resolve();
    expect(await stored).toEqual({ bytes: 48 * mebibyte });
    await small.dispose();
  });
});
