import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { listBackups } from '../src/catalog.ts';
import type { RunEvent } from '../src/events.ts';
import { backup, exitOf } from '../src/run.ts';
import { bytes, fakePipeline, fakeSource, goodRead, job, unit } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const { signal } = new AbortController();

async function listed(pipeline: ReturnType<typeof fakePipeline>): Promise<string[]> {
  const units: string[] = [];
  for await (const entry of listBackups(pipeline, { signal }))
    units.push(`${entry.unit} in ${entry.sinks.join('+')}`);
  return units.sort();
}

describe('a run', () => {
  it('stores every unit in every sink, manifests last and alike', async () => {
    const [a, b] = [memorySink(), memorySink()];
    const pipeline = fakePipeline(fakeSource(job('acme'), job('Globex')), { a, b }, { transforms: true });
    const report = await backup(pipeline, { signal });
    expect(report.status).toBe('ok');
    expect(exitOf(report)).toBe(0);
    expect(await listed(pipeline)).toEqual(['Globex in a+b', 'acme in a+b']);
    const folder = `put vigia/units/acme/${report.run}/`;
    expect(a.log.filter((line) => line.startsWith(folder))).toEqual([
      `${folder}database.dump.zip`,
      `${folder}settings.json.zip`,
      `${folder}manifest.json`,
    ]);
    const manifest = `vigia/units/acme/${report.run}/manifest.json`;
    expect(a.objects.get(manifest)).toEqual(b.objects.get(manifest));
    expect(a.log.at(0)).toBe(`put vigia/runs/${report.run}.begin.json`);
    expect(a.log.at(-1)).toBe(`put vigia/runs/${report.run}.json`);
  });

  it('starts the largest first, and no more at once than limits.jobs', async () => {
    const source = fakeSource(job('small', 1), job('large', 1000), job('middle', 50), job('tiny', 0));
    const report = await backup(fakePipeline(source, { a: memorySink() }), { signal });
    expect(report.status).toBe('ok');
    expect(source.begun).toEqual(['db large', 'db middle', 'db small', 'db tiny']);
    expect(source.widest).toBe(2);
  });

  it('goes by the sizes of the last run where it knows them', async () => {
    const source = fakeSource(job('x', 10), job('y', 20));
    source.readWith = (given) => goodRead(given, (name) => bytes('1'.repeat(name === 'x' ? 5000 : 10)));
    const pipeline = fakePipeline(source, { a: memorySink() });
    await backup(pipeline, { signal });
    await backup(pipeline, { signal });
    expect(source.begun.slice(2)).toEqual(['db x', 'db y']);
  });

  it('retries a job under a new id, only for codes that say retryable', async () => {
    const source = fakeSource(job('flaky'), job('broken'));
    const sink = memorySink();
    source.readWith = (given, attempt) =>
      given.id === 'db broken'
        ? failing('source.failed')
        : attempt < 3
          ? failing('source.incomplete')
          : goodRead(given);
    const events: RunEvent[] = [];
    const report = await backup(fakePipeline(source, { sink }), {
      signal,
      observe: (event) => events.push(event),
    });
    expect(report.status).toBe('partial');
    expect(exitOf(report)).toBe(1);
    expect(report.units.find((line) => line.unit === 'flaky')).toMatchObject({
      status: 'good',
      attempts: 3,
      backup: `${report.run}.3`,
    });
    expect(report.units.find((line) => line.unit === 'broken')).toMatchObject({
      status: 'failed',
      attempts: 1,
      error: { code: 'source.failed' },
    });
    expect(events.filter((event) => event.type === 'job-retry')).toHaveLength(2);
    expect(
      [...sink.objects.keys()]
        .filter((key) => key.includes('/units/'))
        .every((key) => key.includes(`${report.run}.3/`)),
    ).toBe(true);
  });

  it('leaves nothing of a job that fails after some of its artifacts', async () => {
    const source = fakeSource(job('acme'));
    source.readWith = async function* (given) {
      yield* goodRead(given);
      throw new PgsiloError('source.failed', 'the producer exited with 1 after all');
    };
    const sink = memorySink();
    const report = await backup(fakePipeline(source, { sink }), { signal });
    expect(report.status).toBe('failed');
    expect(exitOf(report)).toBe(3);
    expect([...sink.objects.keys()].filter((key) => key.includes('/units/'))).toEqual([]);
  });

  it('is never green when a unit of the job was forgotten', async () => {
    const source = fakeSource({ id: 'both', units: [unit('a'), unit('b')] });
    source.readWith = (given) => goodRead({ ...given, units: given.units.slice(0, 1) });
    const sink = memorySink();
    const report = await backup(fakePipeline(source, { sink }), { signal });
    expect(report.units.map((line) => line.status)).toEqual(['failed', 'failed']);
    expect([...sink.objects.keys()].filter((key) => key.includes('/units/'))).toEqual([]);
  });

  it('names units that should be there as failed, and refuses an empty plan', async () => {
    const source = fakeSource(job('acme'));
    source.missing = [
      { unit: unit('gone'), error: new PgsiloError('source.unit-missing', 'database "gone" does not exist') },
    ];
    const report = await backup(fakePipeline(source, { sink: memorySink() }), { signal });
    expect(report.status).toBe('partial');
    expect(report.units.find((line) => line.unit === 'gone')?.error?.code).toBe('source.unit-missing');
    await expect(
      backup(fakePipeline(fakeSource(), { sink: memorySink() }), { signal }),
    ).rejects.toMatchObject({ code: 'source.plan-invalid' });
  });

  it('takes only what was selected, and refuses a selection of nothing', async () => {
    const demo = { id: 'd', units: [unit('d', { plan: 'demo' })] };
    const source = fakeSource(job('acme'), demo);
    const pipeline = fakePipeline(source, { sink: memorySink() });
    expect(
      (await backup(pipeline, { signal, where: [{ label: 'plan', value: 'demo' }] })).units.map(
        (line) => line.unit,
      ),
    ).toEqual(['d']);
    expect((await backup(pipeline, { signal, only: ['acme'] })).units.map((line) => line.unit)).toEqual([
      'acme',
    ]);
    await expect(backup(pipeline, { signal, only: ['acme', 'nobody'] })).rejects.toThrow(/"nobody"/);
    await expect(backup(pipeline, { signal, where: [{ label: 'plan', value: 'gold' }] })).rejects.toThrow(
      /plan=gold/,
    );
  });
});

describe('the run lock', () => {
  it('keeps a second run out and says who holds it', async () => {
    const source = fakeSource(job('acme'));
    source.lockWith = () => ({
      held: false,
      holder: 'run X on db1',
      since: new Date('2026-11-21T02:00:00Z'),
    });
    const running = backup(fakePipeline(source, { sink: memorySink() }), { signal });
    await expect(running).rejects.toMatchObject({
      code: 'run.locked',
      exit: 3,
      message: expect.stringContaining('run X on db1 since 2026-11-21T02:00:00.000Z'),
    });
  });

  it('is waited for', async () => {
    const source = fakeSource(job('acme'));
    let looks = 0;
    source.lockWith = () =>
      ++looks < 3
        ? { held: false, holder: 'x', since: undefined }
        : { held: true, lost: new AbortController().signal, release: () => Promise.resolve() };
    const pipeline = { ...fakePipeline(source, { sink: memorySink() }) };
    const quick = { ...pipeline, clock: { ...pipeline.clock, sleep: () => Promise.resolve() } };
    expect((await backup(quick, { signal, wait: 60_000 })).status).toBe('ok');
    expect(looks).toBe(3);
  });

  it('ends the run when it is lost', async () => {
    const source = fakeSource(job('a'), job('b'), job('c'));
    source.readWith = async function* (given, _attempt, readSignal) {
      source.lockLost.abort(new PgsiloError('run.lock-lost', 'the session that held the run lock ended'));
      readSignal.throwIfAborted();
      yield* goodRead(given);
    };
    const sink = memorySink();
    const report = await backup(fakePipeline(source, { sink }), { signal });
    expect(report).toMatchObject({ status: 'failed', error: { code: 'run.lock-lost' } });
    expect([...sink.objects.keys()].filter((key) => key.includes('/units/'))).toEqual([]);
  });
});

describe('time and interruption', () => {
  it('ends a job that takes too long, and tells the source to stop', async () => {
    const source = fakeSource(job('slow'), job('quick'));
    let stopped = 0;
    source.readWith = async function* (given, _attempt, readSignal) {
      if (given.id === 'db quick') return yield* goodRead(given);
      try {
        await new Promise((_resolve, reject) =>
          readSignal.addEventListener('abort', () => reject(readSignal.reason as Error)),
        );
      } finally {
        stopped += 1;
      }
    };
    const report = await backup(
      fakePipeline(source, { sink: memorySink() }, { limits: { jobTimeout: 30, attempts: 2 } }),
      { signal },
    );
    expect(report.units.find((line) => line.unit === 'slow')).toMatchObject({
      status: 'failed',
      attempts: 2,
      error: { code: 'limit.timeout' },
    });
    expect(report.units.find((line) => line.unit === 'quick')?.status).toBe('good');
    expect(stopped).toBe(2);
  });

  it('leaves nothing half-committed when interrupted, and says so', async () => {
    const controller = new AbortController();
    const source = fakeSource(job('first', 3), job('second', 2), job('third', 1));
    source.readWith = async function* (given) {
      for await (const item of goodRead(given)) {
        yield item;
        if (given.id === 'db second') controller.abort(new PgsiloError('aborted', 'interrupted by SIGINT'));
      }
    };
    const sink = memorySink();
    const report = await backup(fakePipeline(source, { sink }, { limits: { jobs: 1 } }), {
      signal: controller.signal,
    });
    expect(report.status).toBe('aborted');
    expect(exitOf(report)).toBe(130);
    expect(report.units.map((line) => line.status)).toEqual(['good', 'failed', 'failed']);
    expect(source.begun).toEqual(['db first', 'db second']);
    const folders = new Set(
      [...sink.objects.keys()].filter((key) => key.includes('/units/')).map((key) => key.split('/')[2]),
    );
    expect([...folders]).toEqual(['first']);
    expect(sink.log.at(-1)).toBe(`put vigia/runs/${report.run}.json`);
  });
});

function failing(code: 'source.failed' | 'source.incomplete'): AsyncIterable<never> {
  const next = (): Promise<never> => Promise.reject(new PgsiloError(code, 'pg_dump said no'));
  return { [Symbol.asyncIterator]: () => ({ next }) };
}
