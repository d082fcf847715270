import { setTimeout as delay } from 'node:timers/promises';
import { PgsiloError } from '@pgsilo/plugin';
import type { Sink } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { backup } from '../src/run.ts';
import { bytes, facts, fakePipeline, fakeSource, job, unit } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const { signal } = new AbortController();

/** Takes whole bodies and answers those of matching keys only when `gate` opens. */
function slowAnswer(sink: Sink, keys: RegExp, gate: Promise<void>): Sink & { waiting: number; most: number } {
  const slow = {
    ...sink,
    waiting: 0,
    most: 0,
    async put(...given: Parameters<Sink['put']>) {
      const stored = await sink.put(...given);
      if (!keys.test(given[0])) return stored;
      slow.most = Math.max(slow.most, ++slow.waiting);
      try {
        await gate;
      } catch (error) {
        // What fails leaves no key, as every sink promises.
        await sink.remove([given[0]], given[3]);
        throw error;
      } finally {
        slow.waiting -= 1;
      }
      return stored;
    },
  };
  return slow;
}

async function until(found: () => boolean): Promise<void> {
  for (let left = 500; !found(); left -= 1) {
    if (left === 0) throw new Error('waited in vain');
    await delay(10);
  }
}

describe('stores that answer late', () => {
  it('do not keep the source from being read for the next job; a unit is listed only when all have answered', async () => {
    const sink = memorySink();
    const gate = Promise.withResolvers<void>();
    const slow = slowAnswer(sink, /units\/a\/.*dump/, gate.promise);
    const source = fakeSource(job('a', 3), job('b', 2), job('c', 1));
    const pipeline = fakePipeline(source, { slow }, { limits: { jobs: 1 } });
    const running = backup(pipeline, { signal });
    await until(() => source.begun.length === 3);
    await until(() => [...sink.objects.keys()].some((key) => /units\/b\/.*manifest/.test(key)));
    expect([...sink.objects.keys()].filter((key) => /units\/a\/.*manifest/.test(key))).toEqual([]);
    gate.resolve();
    expect((await running).status).toBe('ok');
    expect([...sink.objects.keys()].filter((key) => key.endsWith('manifest.json'))).toHaveLength(3);
    expect(source.widest).toBe(1);
  });

  it('and then refuse fail the unit alone, and leave nothing of it', async () => {
    const sink = memorySink();
    const gate = Promise.withResolvers<void>();
    const source = fakeSource(job('a', 3), job('b', 2));
    const pipeline = fakePipeline(
      source,
      { slow: slowAnswer(sink, /units\/a\/.*dump/, gate.promise) },
      { limits: { jobs: 1 } },
    );
    const running = backup(pipeline, { signal });
    await until(() => source.begun.length === 2);
    gate.reject(new PgsiloError('sink.too-large', 'after all of it'));
    const report = await running;
    expect(report.units.map(({ unit: name, status }) => [name, status]).sort()).toEqual([
      ['a', 'failed'],
      ['b', 'good'],
    ]);
    expect([...sink.objects.keys()].filter((key) => key.includes('/units/a/'))).toEqual([]);
  });

  it('are waited for by one job of many artifacts, in parallel and within a bound', async () => {
    const names = Array.from({ length: 60 }, (_, index) => `u${index}`);
    const source = fakeSource({ id: 'all', units: names.map((name) => unit(name)) });
    source.readWith = async function* (given) {
      for (const { name } of given.units) {
        yield { type: 'artifact', unit: name, name: 'schema.dump', format: 'pg-custom', body: bytes(name) };
        yield { type: 'facts', unit: name, facts };
      }
    };
    const sink = memorySink();
    const gate = Promise.withResolvers<void>();
    const slow = slowAnswer(sink, /dump/, gate.promise);
    const running = backup(fakePipeline(source, { slow }), { signal });
    await until(() => slow.waiting > 8);
    await delay(50);
    const most = slow.most;
    gate.resolve();
    expect((await running).status).toBe('ok');
    expect(most).toBeGreaterThan(8);
    expect(most).toBeLessThanOrEqual(17);
    expect([...sink.objects.keys()].filter((key) => key.endsWith('manifest.json'))).toHaveLength(60);
  });
});
