import { describe, expect, it } from 'vitest';
import { listBackups } from '../src/catalog.ts';
import { findBackup } from '../src/find-backup.ts';
import { prepareRestore } from '../src/restore.ts';
import { backup } from '../src/run.ts';
import { verify } from '../src/verify.ts';
import { fakePipeline, fakeSource, job } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const { signal } = new AbortController();
const options = {
  unit: 'acme',
  replace: false,
  dropOld: false,
  safetyBackup: false,
  jobs: 1,
  owner: true,
  signal,
};

async function backedUp() {
  const [a, b] = [memorySink(), memorySink()];
  const pipeline = fakePipeline(fakeSource(job('acme'), job('globex')), { a, b }, { transforms: true });
  const { run } = await backup(pipeline, { signal });
  return { a, b, pipeline, run, key: (name: string) => `vigia/units/acme/${run}/${name}` };
}

describe('verify', () => {
  it('reads every backup in every sink', async () => {
    const { pipeline } = await backedUp();
    for (const level of ['objects', 'decode'] as const) {
      const report = await verify(pipeline, { level, signal });
      expect(report.status).toBe('ok');
      expect(report.checked.map((line) => `${line.unit} ${line.sink} ${line.status}`).sort()).toEqual([
        'acme a ok',
        'acme b ok',
        'globex a ok',
        'globex b ok',
      ]);
    }
  });

  it('finds any one altered, cut, lost or exchanged object, at level objects already', async () => {
    const { a, pipeline, key } = await backedUp();
    const names = ['database.dump.zip', 'settings.json.zip', 'manifest.json'].map(key);
    for (const name of names) {
      const original = a.objects.get(name)!;
      const flipped = Buffer.from(original);
      flipped[Math.floor(flipped.length / 2)]! ^= 1;
      const [, other] = names.filter((candidate) => candidate !== name);
      for (const [what, content] of [
        ['flipped', flipped],
        ['cut', original.subarray(0, -1)],
        ['longer', Buffer.concat([original, original])],
        ['exchanged', a.objects.get(other!)!],
      ] as const) {
        a.objects.set(name, content);
        const report = await verify(pipeline, { level: 'objects', signal });
        expect(
          report.checked.filter((line) => line.status === 'failed').map((line) => line.sink),
          `${what} ${name}`,
        ).toEqual(['a']);
      }
      a.objects.delete(name);
      expect((await verify(pipeline, { level: 'objects', signal })).status, `lost ${name}`).toBe('failed');
      a.objects.set(name, original);
    }
    expect((await verify(pipeline, { level: 'objects', signal })).status).toBe('ok');
  });

  it('misses a backup whose manifest has vanished from a sink', async () => {
    const { a, pipeline, key } = await backedUp();
    a.objects.delete(key('manifest.json'));
    const report = await verify(pipeline, { level: 'objects', signal });
    expect(report.missing).toMatchObject([{ unit: 'acme', sink: 'a', error: { code: 'sink.not-found' } }]);
  });

  it('misses everything of a sink that was lost whole, its records too', async () => {
    const { a, pipeline } = await backedUp();
    for (const key of a.objects.keys()) a.objects.delete(key);
    const report = await verify(pipeline, { level: 'objects', signal });
    expect(report.status).toBe('failed');
    expect(report.missing.map(({ unit, sink }) => `${unit} ${sink}`).sort()).toEqual(['acme a', 'globex a']);
  });

  it('is no success when there is nothing to verify', async () => {
    await expect(
      verify(fakePipeline(fakeSource(job('a')), { a: memorySink() }), { level: 'objects', signal }),
    ).rejects.toMatchObject({ code: 'catalog.not-found' });
    const { pipeline } = await backedUp();
    await expect(verify(pipeline, { level: 'objects', units: ['nobody'], signal })).rejects.toThrow(
      /"nobody"/,
    );
  });
});

describe('the catalog', () => {
  it('lists newest first, names what a sink lacks, and an unreadable manifest', async () => {
    const { a, b, pipeline, run, key } = await backedUp();
    b.objects.delete(key('manifest.json'));
    a.objects.set(`vigia/units/globex/${run}/manifest.json`, Buffer.from('{}'));
    b.objects.delete(`vigia/units/globex/${run}/manifest.json`);
    const entries = [];
    for await (const entry of listBackups(pipeline, { signal })) entries.push(entry);
    expect(entries).toMatchObject([
      { unit: 'acme', sinks: ['a'], missingFrom: ['b'], manifest: { status: 'good' } },
      { unit: 'globex', sinks: ['a'], error: { code: 'catalog.corrupt' } },
    ]);
  });

  it('finds the newest, one by id, one by time, and passes over no unreadable one in silence', async () => {
    const { a, b, pipeline, run, key } = await backedUp();
    expect((await findBackup(pipeline, 'acme', { signal })).backup).toBe(run);
    expect((await findBackup(pipeline, 'acme', { backup: run, signal })).backup).toBe(run);
    expect(
      (await findBackup(pipeline, 'acme', { before: new Date('2026-11-21T02:00:00Z'), signal })).backup,
    ).toBe(run);
    await expect(
      findBackup(pipeline, 'acme', { before: new Date('2026-11-21T01:59:59Z'), signal }),
    ).rejects.toMatchObject({ code: 'catalog.not-found' });
    await expect(findBackup(pipeline, 'acm', { signal })).rejects.toMatchObject({
      hint: expect.stringContaining('acme'),
    });
    for (const sink of [a, b]) sink.objects.set(key('manifest.json'), Buffer.from('{}'));
    await expect(findBackup(pipeline, 'acme', { signal })).rejects.toMatchObject({ code: 'catalog.corrupt' });
  });
});

describe('restore', () => {
  it('refuses a moment that only write-ahead log could give, and names the nearest backup', async () => {
    const { pipeline, run } = await backedUp();
    await expect(
      prepareRestore(pipeline, {
        ...options,
        recovery: {
          point: { kind: 'time', at: '2026-11-21T03:30:00.000Z' },
          timeline: 'latest',
          fetchCommand: '',
        },
      }),
    ).rejects.toMatchObject({
      code: 'restore.refused',
      message: expect.stringContaining('1 h 30 min before'),
      hint: expect.stringContaining(run),
    });
    await expect(
      prepareRestore(pipeline, {
        ...options,
        recovery: { point: { kind: 'xid', xid: '810' }, timeline: 'latest', fetchCommand: '' },
      }),
    ).rejects.toMatchObject({
      code: 'restore.refused',
      message: expect.stringContaining('transaction 810'),
    });
  });

  it('hands the source bytes that were proved', async () => {
    const { a, b, pipeline, key } = await backedUp();
    const altered = Buffer.from(a.objects.get(key('database.dump.zip'))!);
    altered[20]! ^= 1;
    for (const sink of [a, b]) sink.objects.set(key('database.dump.zip'), altered);
    pipeline.source.source.restore = async (request) => {
      await request.backup.artifacts[0]!.spool();
      throw new Error('unreachable');
    };
    await expect(
      prepareRestore(pipeline, {
        unit: 'acme',
        replace: false,
        dropOld: false,
        safetyBackup: false,
        jobs: 1,
        owner: true,
        signal,
      }),
    ).rejects.toMatchObject({ code: /corrupt/ });
  });

  it('names the damaged copy and the sink that has another', async () => {
    const { a, pipeline, run, key } = await backedUp();
    a.objects.delete(key('database.dump.zip'));
    pipeline.source.source.restore = async (request) => {
      await request.backup.artifacts[0]!.spool();
      throw new Error('unreachable');
    };
    await expect(prepareRestore(pipeline, options)).rejects.toMatchObject({
      code: 'sink.not-found',
      message: expect.stringContaining(`database.dump of "acme" ${run} is damaged in sink a`),
      hint: expect.stringContaining(`--from b --backup ${run}`),
    });
  });

  it('says when the newest backup has vanished and an older one is taken', async () => {
    const { a, b, pipeline, run } = await backedUp();
    const old = `vigia/units/acme/${run}/`;
    const later = { ...pipeline, clock: { ...pipeline.clock, now: () => new Date(Date.now() + 60_000) } };
    const second = await backup(later, { signal });
    for (const sink of [a, b]) sink.objects.delete(old.replace(run, second.run) + 'manifest.json');
    pipeline.source.source.restore = () =>
      Promise.resolve({
        plan: ['Do it'],
        run: () => Promise.reject(new Error()),
        close: () => Promise.resolve(),
      });
    const prepared = await prepareRestore(pipeline, options);
    expect(prepared.entry.backup).toBe(run);
    expect(prepared.plan[0]).toContain(second.run);
    await prepared.close();
  });
});
