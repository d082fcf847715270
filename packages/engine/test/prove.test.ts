import { setTimeout as sleep } from 'node:timers/promises';
import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { listBackups } from '../src/catalog.ts';
import { drill, judge } from '../src/drill.ts';
import type { Pipeline } from '../src/pipeline.ts';
import { prune } from '../src/prune.ts';
import { backup } from '../src/run.ts';
import { verify } from '../src/verify.ts';
import { withScratch } from './fake-scratch.ts';
import { fakePipeline, fakeSource, goodRead, job } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const { signal } = new AbortController();
const units = ['@globals', 'registry', 'acme', 'globex', 'initech'];

async function backedUp(more: Partial<Pipeline> = {}) {
  const source = fakeSource(...units.map((name) => job(name)));
  const scratch = withScratch(source);
  const sink = memorySink();
  const plain = fakePipeline(source, { a: sink });
  const pipeline: Pipeline = { ...plain, limits: { ...plain.limits, jobs: 1 }, ...more };
  const { run } = await backup(pipeline, { signal });
  const restore = async (options: object = {}) => {
    // What it notes is told apart by the millisecond.
    await sleep(2);
    return verify(pipeline, { level: 'restore', signal, ...options });
  };
  const proved = async (): Promise<Record<string, string | undefined>> => {
    const found: Record<string, string | undefined> = {};
    for await (const entry of listBackups(pipeline, { signal }))
      if (entry.backup === run) found[entry.unit] = entry.proved?.result;
    return found;
  };
  return { source, scratch, sink, pipeline, run, restore, proved };
}

const mismatch = new PgsiloError('restore.mismatch', 'table public.orders: 1 row, the backup has 2');
const noExtension = new PgsiloError('restore.refused', 'the server lacks extensions: "postgis"');

describe('verify at level restore', () => {
  it('restores each unit, with the roles of its run, looks at the copy and removes it', async () => {
    const { scratch, restore, proved } = await backedUp();
    const report = await restore({ units: ['acme'] });
    expect(report.checked).toMatchObject([{ unit: 'acme', status: 'ok', summary: '3 rows', checks: [] }]);
    expect(scratch.log).toEqual([
      'start 15.18',
      'prepare acme with roles',
      'restore acme to copy-acme',
      'examine copy-acme',
      'remove acme',
      'close',
    ]);
    expect(await proved()).toMatchObject({ acme: 'ok', globex: undefined });
  });

  it('gives a server of its own to what takes one', async () => {
    const { scratch, restore } = await backedUp();
    await restore({ units: ['@globals'] });
    expect(scratch.log).toEqual([
      'start 15.18',
      'start 15.18',
      'prepare @globals',
      'restore @globals to undefined',
      'examine server',
      'close',
      'close',
    ]);
  });

  it('fails, and goes on with the others, when a copy is not what it must be', async () => {
    const { scratch, restore, proved } = await backedUp();
    scratch.restoreWith = ({ unit }) => {
      if (unit.name === 'acme') throw mismatch;
    };
    scratch.examineWith = ({ unit }) =>
      unit.name === 'globex' ? { differences: ['INDEX public.orders_at is not there'] } : {};
    const report = await restore();
    expect(report.status).toBe('failed');
    const line = (name: string) => report.checked.find(({ unit }) => unit === name);
    expect(line('acme')).toMatchObject({ status: 'failed', error: { code: 'restore.mismatch' } });
    expect(line('globex')).toMatchObject({
      status: 'failed',
      error: {
        code: 'restore.check-failed',
        message: expect.stringContaining('INDEX public.orders_at is not there'),
      },
    });
    expect(line('initech')).toMatchObject({ status: 'ok' });
    expect(await proved()).toEqual({
      '@globals': 'ok',
      registry: 'ok',
      acme: 'failed',
      globex: 'failed',
      initech: 'ok',
    });
    expect(scratch.log.filter((each) => each.startsWith('remove')).sort()).toEqual([
      'remove acme', 'remove globex', 'remove initech', 'remove registry',
    ]); // prettier-ignore
  });

  it('keeps nothing of a copy in a note but the code', async () => {
    const { scratch, restore, sink } = await backedUp();
    scratch.examineWith = () => ({
      checks: [{ name: 'secret', status: 'failed', took: 1, message: 'it gave "4111-1111"' }],
    });
    const report = await restore({ units: ['acme'] });
    expect(report.checked[0]?.error?.message).toContain('4111-1111');
    const notes = [...sink.objects.keys()].filter((key) => key.includes('/notes/'));
    expect(notes).toHaveLength(1);
    const note = sink.objects.get(notes[0]!)!.toString();
    expect(note).toContain('"code": "restore.check-failed"');
    expect(note).not.toContain('4111');
  });

  it('asks a check of the tenants that it is for', async () => {
    const check = { name: 'all', sql: 'SELECT true', expect: true, timeout: 1 };
    const checks = [
      check,
      { ...check, name: 'one', units: ['acme'] },
      { ...check, name: 'gold', where: { plan: 'gold' } },
    ];
    const { restore } = await backedUp({ checks, labels: { plan: 'silver' } });
    const { checked } = await restore();
    const asked = Object.fromEntries(checked.map((one) => [one.unit, one.checks?.map(({ name }) => name)]));
    expect(asked).toEqual({
      '@globals': [],
      registry: ['all'],
      acme: ['all', 'one'],
      globex: ['all'],
      initech: ['all'],
    });
  });

  it('takes those of a sample that were not tried for longest, so that in the end all are', async () => {
    const { restore, scratch } = await backedUp();
    scratch.unfit = ({ unit }) => (unit.name === '@globals' ? 'it cannot be' : undefined);
    const seen: string[] = [];
    for (let round = 0; round < 3; round += 1) {
      const { checked } = await restore({ sample: 2 });
      seen.push(...checked.map(({ unit }) => unit));
    }
    expect(seen.slice(0, 4).sort()).toEqual(['acme', 'globex', 'initech', 'registry']);
    expect(seen.slice(4)).toEqual(seen.slice(0, 2));
  });

  it('tries others too when one can never be tried', async () => {
    const { restore, scratch } = await backedUp();
    scratch.restoreWith = ({ unit }) => {
      if (unit.name === 'acme') throw noExtension;
    };
    const seen: string[] = [];
    for (let round = 0; round < 5; round += 1)
      seen.push(...(await restore({ sample: 1 })).checked.map(({ unit }) => unit));
    expect(seen.sort()).toEqual([...units].sort());
  });

  it('leaves what was proved before when it could not be tried again', async () => {
    const { restore, scratch, proved } = await backedUp();
    await restore({ units: ['acme'] });
    scratch.restoreWith = () => {
      throw noExtension;
    };
    expect((await restore({ units: ['acme'] })).status).toBe('failed');
    expect(await proved()).toMatchObject({ acme: 'ok' });
    scratch.restoreWith = () => {
      throw mismatch;
    };
    await restore({ units: ['acme'] });
    expect(await proved()).toMatchObject({ acme: 'failed' });
  });

  it('takes an answer that cannot be read for none, though an older one was yes, and says so', async () => {
    const { restore, scratch, sink, proved } = await backedUp();
    const notes = (): string[] => [...sink.objects.keys()].filter((key) => key.includes('/notes/')).sort();
    await restore({ units: ['acme'] });
    scratch.restoreWith = () => {
      throw mismatch;
    };
    await restore({ units: ['acme'] });
    const key = notes().at(-1)!;
    sink.objects.set(key, Buffer.from(sink.objects.get(key)!.toString().replace('"failed"', '"ok"')));
    expect(await proved()).toMatchObject({ acme: undefined });
    scratch.restoreWith = () => undefined;
    const { records } = await restore({ units: ['globex'] });
    expect(records).toMatchObject([{ key, error: { code: 'catalog.corrupt' } }]);
  });

  it('ends its servers when it is interrupted', async () => {
    const { pipeline, scratch } = await backedUp();
    const stop = new AbortController();
    scratch.restoreWith = () => {
      stop.abort(new PgsiloError('aborted', 'interrupted'));
      throw new PgsiloError('aborted', 'interrupted');
    };
    const work = verify(pipeline, { level: 'restore', signal: stop.signal });
    await expect(work).rejects.toMatchObject({ code: 'aborted' });
    expect(scratch.log.at(-1)).toBe('close');
    expect(scratch.log.filter((each) => each.startsWith('restore'))).toHaveLength(1);
  });

  it('is what retention goes by: the newest that was proved stays', async () => {
    const { pipeline, restore, run } = await backedUp();
    await restore({ units: ['acme'] });
    const kept: Pipeline = {
      ...pipeline,
      sinks: pipeline.sinks.map((sink) => ({ ...sink, retention: { last: 1, timezone: 'UTC', rules: [] } })),
    };
    for (let more = 0; more < 2; more += 1) await backup(kept, { signal });
    await prune(kept, { signal });
    const left: string[] = [];
    for await (const { unit, backup: id } of listBackups(kept, { signal })) if (id === run) left.push(unit);
    expect(left).toEqual(['acme']);
  });
});

describe('drill', () => {
  it('restores roles, then the registry, then the tenants, and only then looks at them', async () => {
    const { pipeline, scratch, proved } = await backedUp();
    const report = await drill(pipeline, { signal });
    expect(report).toMatchObject({ status: 'ok', server: 'a fake', objectives: {} });
    const steps = scratch.log.filter((each) => /^(restore|examine)/.test(each));
    expect(steps.slice(0, 2)).toEqual(['restore @globals to undefined', 'restore registry to copy-registry']);
    expect(steps.slice(2, 5).every((each) => each.startsWith('restore'))).toBe(true);
    expect(steps.slice(5).every((each) => each.startsWith('examine'))).toBe(true);
    expect(scratch.log.filter((each) => each === 'close')).toHaveLength(1);
    expect(Object.values(await proved())).toEqual(Array<string>(5).fill('ok'));
  });

  it('fails when a unit does not come back, and then the time is not kept either', async () => {
    const { pipeline, scratch } = await backedUp({ objectives: { rto: 3_600_000 } });
    expect((await drill(pipeline, { signal })).objectives.rto).toMatchObject({ met: true, target: 3600 });
    scratch.restoreWith = ({ unit }) => {
      if (unit.name === 'globex') throw mismatch;
    };
    const report = await drill(pipeline, { signal });
    expect(report.status).toBe('failed');
    expect(report.objectives.rto).toMatchObject({ met: false });
    expect(report.units.filter(({ status }) => status === 'failed')).toMatchObject([
      { unit: 'globex', error: { code: 'restore.mismatch' } },
    ]);
  });

  it('restores an older backup of a unit that the newest run has none of, and says so', async () => {
    const { pipeline, source, run } = await backedUp({ objectives: { rpo: 1000 * 365 * 86_400_000 } });
    source.readWith = (given) => {
      if (given.id === 'db acme') throw new PgsiloError('source.denied', 'no');
      return goodRead(given);
    };
    const second = await backup(pipeline, { signal });
    const report = await drill(pipeline, { signal });
    expect(report.run).toBe(second.run);
    expect(report.units.find(({ unit }) => unit === 'acme')).toMatchObject({ status: 'ok', backup: run });
    expect(report.warnings).toEqual([
      expect.stringContaining(`no good backup of "acme"; ${run} is restored instead`),
    ]);
  });

  it('misses a backup that a sink has lost', async () => {
    const { pipeline, sink, run } = await backedUp({ objectives: { rpo: 1000 * 365 * 86_400_000 } });
    sink.objects.delete(`vigia/units/acme/${run}/manifest.json`);
    const report = await drill(pipeline, { signal });
    expect(report.units.find(({ unit }) => unit === 'acme')).toMatchObject({
      status: 'failed',
      error: { code: 'catalog.not-found' },
    });
    expect(report.objectives.rpo).toMatchObject({ met: false, unit: 'acme' });
  });

  it('needs a whole run', async () => {
    const source = fakeSource(job('acme'));
    withScratch(source);
    const pipeline = fakePipeline(source, { a: memorySink() });
    await expect(drill(pipeline, { signal })).rejects.toMatchObject({ code: 'catalog.not-found' });
  });
});

describe('an objective', () => {
  const startedAt = new Date('2026-11-21T12:00:00Z');
  const aged = (unit: string, minutes: number) => ({
    unit,
    newestGood: new Date(startedAt.getTime() - minutes * 60_000),
  });
  const measured = {
    complete: true,
    recoverySeconds: 60,
    startedAt,
    units: [aged('acme', 10), aged('globex', 15)],
  };

  it('is kept to the second, and missed by one', () => {
    expect(judge({ rto: 60_000, rpo: 900_000 }, measured)).toEqual({
      rto: { target: 60, actual: 60, met: true },
      rpo: { target: 900, actual: 900, unit: 'globex', met: true },
    });
    expect(judge({ rto: 59_999, rpo: 899_999 }, measured)).toMatchObject({
      rto: { met: false },
      rpo: { met: false },
    });
  });

  it('about age is missed by a unit without a good backup', () => {
    const units = [aged('acme', 10), { unit: 'initech' }];
    expect(judge({ rpo: 9e12 }, { ...measured, units })).toEqual({
      rpo: { target: 9e9, unit: 'initech', met: false },
    });
  });
});
