import { PgsiloError } from '@pgsilo/plugin';
import type { Body, ErrorCode, Sink } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { backup, exitOf } from '../src/run.ts';
import { fakePipeline, fakeSource, goodRead, job } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const { signal } = new AbortController();

/** Fails puts of the keys that match; reads one chunk of the body first, as a store would that breaks in the middle. */
function failingPut(sink: Sink, keys: RegExp, code: ErrorCode): Sink {
  return {
    ...sink,
    async put(key, body, hint, context) {
      if (!keys.test(key)) return sink.put(key, body, hint, context);
      for await (const _ of body) break;
      throw new PgsiloError(code, `no room for ${key}`);
    },
  };
}

describe('several sinks', () => {
  it('go on when one fails, and the unit is said to be missing there', async () => {
    const good = memorySink();
    const bad = memorySink();
    const pipeline = fakePipeline(fakeSource(job('acme'), job('globex')), {
      good,
      bad: failingPut(bad, /units\/acme\/.*dump/, 'sink.failed'),
    });
    const report = await backup(pipeline, { signal });
    expect(report.status).toBe('partial');
    expect(exitOf(report)).toBe(1);
    const acme = report.units.find((line) => line.unit === 'acme');
    expect(acme).toMatchObject({
      status: 'good',
      sinks: [
        { sink: 'good', status: 'stored' },
        { sink: 'bad', status: 'failed', error: { code: 'sink.failed' } },
      ],
    });
    expect(
      [...bad.objects.keys()].filter((key) => key.includes('/units/acme/') && key.endsWith('manifest.json')),
    ).toEqual([]);
    expect(
      [...bad.objects.keys()].some((key) => key.includes('/units/globex/') && key.endsWith('manifest.json')),
    ).toBe(true);
    expect([...good.objects.keys()].filter((key) => key.endsWith('manifest.json'))).toHaveLength(2);
  });

  it.each<ErrorCode>(['sink.denied', 'sink.missing'])(
    'are dropped for the rest of the run by %s',
    async (code) => {
      const full = memorySink();
      const pipeline = fakePipeline(
        fakeSource(job('a', 3), job('b', 2), job('c', 1)),
        { good: memorySink(), full: failingPut(full, /units\/a\//, code) },
        { limits: { jobs: 1 } },
      );
      const report = await backup(pipeline, { signal });
      expect(report.units.map((line) => line.sinks[1]?.status)).toEqual(['failed', 'skipped', 'skipped']);
      expect(report.units[2]?.sinks[1]?.error?.message).toMatch(
        /^not tried: sink full was given up at "a": /,
      );
      expect([...full.objects.keys()].filter((key) => key.includes('/units/'))).toEqual([]);
    },
  );

  it.each<ErrorCode>(['sink.full', 'sink.too-large'])(
    'are tried again for the next unit after %s, and the unit is not',
    async (code) => {
      const full = memorySink();
      const pipeline = fakePipeline(
        fakeSource(job('large', 3), job('small', 1)),
        { full: failingPut(full, /units\/large\//, code) },
        { limits: { jobs: 1 } },
      );
      const report = await backup(pipeline, { signal });
      expect(report.units.map((line) => line.status)).toEqual(['failed', 'good']);
      expect(report.units[0]).toMatchObject({ attempts: 1, error: { code } });
    },
  );

  it('keep nothing of a unit of which they hold only a part', async () => {
    const bad = memorySink();
    const pipeline = fakePipeline(fakeSource(job('a'), job('b')), {
      good: memorySink(),
      bad: failingPut(bad, /units\/a\/.*settings/, 'sink.full'),
    });
    await backup(pipeline, { signal });
    const units = [...bad.objects.keys()].filter((key) => key.includes('/units/'));
    expect(units.filter((key) => key.includes('/units/a/'))).toEqual([]);
    expect(units.filter((key) => key.includes('/units/b/'))).toHaveLength(3);
    expect(bad.log.some((line) => /^put .*units\/a\/.*dump/.test(line))).toBe(true);
  });

  it('that are not required fail with a warning and exit 0', async () => {
    const pipeline = fakePipeline(
      fakeSource(job('a')),
      { good: memorySink(), extra: failingPut(memorySink(), /units/, 'sink.failed') },
      { optional: ['extra'] },
    );
    const report = await backup(pipeline, { signal });
    expect(exitOf(report)).toBe(0);
    expect(report.warnings.join()).toMatch(/extra .*lacks 1 of 1/);
  });

  it('stop the producer when none is left', async () => {
    const source = fakeSource(job('endless'));
    let stopped = false;
    const endless = async function* (): Body & AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield new Uint8Array(1 << 16);
      } finally {
        stopped = true;
      }
    };
    source.readWith = (given) => goodRead(given, endless);
    const pipeline = fakePipeline(source, {
      a: failingPut(memorySink(), /units/, 'sink.full'),
      b: failingPut(memorySink(), /units/, 'sink.denied'),
    });
    const report = await backup(pipeline, { signal });
    expect(stopped).toBe(true);
    expect(report.units[0]).toMatchObject({ status: 'failed', attempts: 1, error: { code: 'sink.full' } });
    expect(exitOf(report)).toBe(3);
  });

  it('are not believed when they stored fewer bytes than they were given', async () => {
    const liar = memorySink();
    const lying: Sink = {
      ...liar,
      put: async (...given) => ({
        bytes: (await liar.put(...given)).bytes - (given[0].endsWith('.dump') ? 1 : 0),
      }),
    };
    const report = await backup(fakePipeline(fakeSource(job('a')), { lying }), { signal });
    expect(report.units[0]).toMatchObject({ status: 'failed', error: { code: 'sink.corrupt' } });
  });

  it('keep a manifest whose put was answered by a broken connection', async () => {
    const sink = memorySink();
    let puts = 0;
    const forgetful: Sink = {
      ...sink,
      async put(key, body, hint, context) {
        if (hint.kind === 'manifest') puts += 1;
        const stored = await sink.put(key, body, hint, context);
        if (hint.kind === 'manifest') throw new PgsiloError('sink.unreachable', 'connection reset');
        return stored;
      },
    };
    const pipeline = fakePipeline(fakeSource(job('a')), { forgetful });
    const quick = { ...pipeline, clock: { ...pipeline.clock, sleep: () => Promise.resolve() } };
    expect((await backup(quick, { signal })).status).toBe('ok');
    expect(puts).toBe(2);
  });
});
