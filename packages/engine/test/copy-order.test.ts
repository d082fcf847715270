import type { Sink } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { copyBackups } from '../src/copy.ts';
import type { Pipeline } from '../src/pipeline.ts';
import { backup } from '../src/run.ts';
import { facts, fakePipeline, fakeSource, goodRead, job } from './fakes.ts';
import type { FakeSource } from './fakes.ts';
import { memorySink, type LoggedSink } from './memory-sink.ts';

const { signal } = new AbortController();

/** A chain in `near`: each backup of each unit requires the one before it. */
async function chained(
  units: readonly string[],
  length: number,
  far: Sink,
): Promise<{ near: LoggedSink; pipeline: Pipeline; source: FakeSource; runs: string[] }> {
  const near = memorySink();
  const source = fakeSource(...units.map((name) => job(name)));
  const runs: string[] = [];
  source.readWith = async function* (given) {
    const requires = runs.slice(-1);
    for await (const item of goodRead(given))
      yield item.type === 'facts' ? { ...item, facts: { ...facts, requires } } : item;
  };
  for (let run = 0; run < length; run += 1)
    runs.push((await backup(fakePipeline(source, { near }), { signal })).run);
  return { near, pipeline: fakePipeline(source, { near, far }), source, runs };
}

const manifestsIn = ({ log }: LoggedSink): (string | undefined)[] =>
  log.filter((line) => line.endsWith('/manifest.json')).map((line) => line.split('/').at(-2));

describe('what is copied when', () => {
  it('the backups that another one requires go before it', async () => {
    const far = memorySink();
    const { pipeline, runs } = await chained(['a'], 4, far);
    await copyBackups(pipeline, { from: 'near', to: 'far', signal });
    expect(manifestsIn(far)).toEqual(runs);
  });

  it('where one of them cannot be copied, none that requires it is', async () => {
    const far = memorySink();
    const { near, pipeline, runs } = await chained(['a'], 4, far);
    const body = [...near.objects.keys()].find(
      (key) => key.includes(runs[1]!) && key.includes('database.dump'),
    )!;
    near.objects.set(body, Buffer.from('something else'));
    const report = await copyBackups(pipeline, { from: 'near', to: 'far', signal });
    expect(manifestsIn(far)).toEqual([runs[0]]);
    expect(report.backups.filter(({ status }) => status === 'failed').map((one) => one.backup)).toEqual(
      runs.slice(1),
    );
  });

  it('--since takes what is not older', async () => {
    const far = memorySink();
    const near = memorySink();
    const source = fakeSource(job('a'));
    const runs: string[] = [];
    const moments = ['2026-03-01T00:00:00Z', '2026-04-01T00:00:00Z', '2026-05-01T00:00:00Z'];
    for (const moment of moments) {
      const clock = { ...fakePipeline(source, { near }).clock, now: () => new Date(moment) };
      runs.push((await backup({ ...fakePipeline(source, { near }), clock }, { signal })).run);
    }
    const pipeline = fakePipeline(source, { near, far });
    const since = new Date(moments[1]!);
    await copyBackups(pipeline, { from: 'near', to: 'far', since, signal });
    expect(manifestsIn(far)).toEqual(runs.slice(1));
  });

  it.each([1, 3])('with limits.jobs %d so many units are on their way at once', async (jobs) => {
    const inner = memorySink();
    let running = 0;
    let widest = 0;
    const far: Sink = {
      ...inner,
      async put(key, ...rest) {
        if (!key.includes('database.dump')) return inner.put(key, ...rest);
        widest = Math.max(widest, ++running);
        try {
          await new Promise((resolve) => setTimeout(resolve, 30));
          return await inner.put(key, ...rest);
        } finally {
          running -= 1;
        }
      },
    };
    const { pipeline } = await chained(['a', 'b', 'c', 'd', 'e'], 1, far);
    const limits = { ...pipeline.limits, jobs };
    await copyBackups({ ...pipeline, limits }, { from: 'near', to: 'far', signal });
    expect(widest).toBe(jobs);
  });
});

describe('a rate of a sink', () => {
  it('slows this sink down, and no other', async () => {
    const slow = memorySink();
    const quick = memorySink();
    const source = fakeSource(job('a'));
    source.readWith = (given) =>
      goodRead(given, async function* () {
        for (let chunk = 0; chunk < 20; chunk += 1) yield Buffer.alloc(1000, chunk);
      });
    let slept = 0;
    const run = async (limited: string): Promise<number> => {
      slept = 0;
      let now = Date.now();
      const pipeline = fakePipeline(source, limited === 'slow' ? { slow } : { quick });
      const clock = {
        now: () => new Date(now),
        sleep: async (milliseconds: number) => {
          slept += milliseconds;
          now += milliseconds;
        },
      };
      const sinks = pipeline.sinks.map((sink) =>
        sink.name === 'slow' ? { ...sink, bytesPerSecond: 1000 } : sink,
      );
      await backup({ ...pipeline, clock, sinks }, { signal });
      return slept;
    };
    // 20 kB at 1 kB a second, but for the last chunk.
    expect(await run('slow')).toBeGreaterThan(18_000);
    expect(await run('quick')).toBeLessThan(1000);
  });
});
