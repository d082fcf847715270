import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sealDocument } from '../../src/checksum.ts';
import { prune } from '../../src/prune.ts';
import type { PrunedBackup } from '../../src/prune-report.ts';
import { verify } from '../../src/verify.ts';
import { memorySink } from '../memory-sink.ts';
import { idOf, listedIn, pruned, storeBackup, storeMarker, storeNote, storeReport } from './store.ts';

const { signal } = new AbortController();

describe('prune', () => {
  it('removes what no rule keeps: of each backup the manifest first, then its objects, then its notes', async () => {
    const sink = memorySink();
    for (const day of ['17', '18', '19']) storeBackup(sink, 'acme', `2026-11-${day}T02:00:00Z`);
    const oldest = { unit: 'acme', backup: idOf('2026-11-17T02:00:00Z') };
    const note = storeNote(sink, { kind: 'verified', ...oldest });
    const destroyed = storeNote(sink, { kind: 'destroyed', ...oldest });
    const rows: PrunedBackup[] = [];
    const report = await prune(pruned({ sink }, { last: 1 }), {
      signal,
      observe: (row) => void rows.push(row),
    });
    expect(listedIn(sink)).toEqual(['acme 2026-11-19']);
    const old = `vigia/units/acme/${idOf('2026-11-17T02:00:00Z')}`;
    expect(sink.log.filter((line) => line.includes('20261117'))).toEqual([
      `remove ${old}/manifest.json`,
      `remove ${old}/database.dump`,
      `remove ${old}/settings.json`,
      `remove ${note}`,
    ]);
    expect(
      rows.map(({ backup, outcome, reasons }) => [
        backup.slice(0, 8),
        outcome,
        reasons.map(({ rule }) => rule),
      ]),
    ).toEqual([
      ['20261119', 'kept', ['newest', 'last']],
      ['20261118', 'removed', ['none']],
      ['20261117', 'removed', ['damaged']],
    ]);
    expect(report).toMatchObject({ status: 'ok', sinks: [{ kept: 1, removed: 2, garbage: 0 }] });
    expect(sink.objects.has(destroyed)).toBe(true);
  });

  it('removes nothing on a dry run, and tells the same', async () => {
    const sink = memorySink();
    for (const day of ['17', '18', '19']) storeBackup(sink, 'acme', `2026-11-${day}T02:00:00Z`);
    sink.objects.set('vigia/units/acme/20260101T000000Z-aaaaaa/database.dump', Buffer.from('orphan'));
    const before = [...sink.objects.keys()];
    const dry = await prune(pruned({ sink }, { last: 1 }), { signal, dryRun: true });
    expect([...sink.objects.keys()]).toEqual(before);
    expect(sink.log).toEqual([]);
    const real = await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(dry.sinks).toEqual(real.sinks);
    expect(real.sinks[0]).toMatchObject({ removed: 2, garbage: 1 });
  });

  it('goes by each sink’s own retention, and leaves one without any alone', async () => {
    const [near, far, vault] = [memorySink(), memorySink(), memorySink()];
    for (const day of ['17', '18', '19', '20'])
      storeBackup([near, far, vault], 'acme', `2026-11-${day}T02:00:00Z`);
    await prune(pruned({ near, far, vault }, { near: { last: 1 }, far: { last: 3 }, vault: undefined }), {
      signal,
    });
    expect([near, far, vault].map((sink) => listedIn(sink).length)).toEqual([1, 3, 4]);
  });

  it('holds what is pinned until then, also what was pinned after it had looked', async () => {
    const sink = memorySink();
    for (const day of ['15', '16', '17', '18', '19']) storeBackup(sink, 'acme', `2026-11-${day}T02:00:00Z`);
    const pin = (day: string, until?: string): unknown => {
      const backup = idOf(`2026-11-${day}T02:00:00Z`);
      const note = { kind: 'pinned', unit: 'acme', backup, reason: 'audit' } as const;
      return storeNote(sink, until ? { ...note, until } : note);
    };
    pin('16');
    pin('17', '2026-11-21T11:59:59Z');
    const planned: string[] = [];
    const observe = ({ outcome }: PrunedBackup): void => void planned.push(outcome);
    await prune(pruned({ sink }, { last: 1 }), { signal, dryRun: true, observe });
    expect(planned).toEqual(['kept', 'planned', 'planned', 'kept', 'planned']);
    let last = 0;
    const late = {
      ...sink,
      get(...given: Parameters<typeof sink.get>) {
        // The plan reads five manifests and the two pins that there are.
        if (++last === 7) pin('15');
        return sink.get(...given);
      },
    };
    const rows: PrunedBackup[] = [];
    await prune(pruned({ sink: late }, { last: 1 }), { signal, observe: (row) => void rows.push(row) });
    expect(listedIn(sink)).toEqual(['acme 2026-11-15', 'acme 2026-11-16', 'acme 2026-11-19']);
    expect(rows.map(({ outcome }) => outcome)).toEqual(['kept', 'removed', 'removed', 'kept', 'kept']);
  });

  it('goes by the labels that a unit has now', async () => {
    const sink = memorySink();
    for (const day of ['17', '18', '19']) {
      storeBackup(sink, 'demo', `2026-11-${day}T02:00:00Z`, { labels: { plan: 'demo' } });
      storeBackup(sink, 'moved', `2026-11-${day}T02:00:00Z`, {
        labels: { plan: day === '19' ? 'demo' : 'pro' },
      });
      storeBackup(sink, 'pro', `2026-11-${day}T02:00:00Z`, { labels: { plan: 'pro' } });
    }
    await prune(pruned({ sink }, { daily: 9, rules: [{ where: { plan: 'demo' }, last: 1 }] }), { signal });
    const pro = ['17', '18', '19'].map((day) => `pro 2026-11-${day}`);
    expect(listedIn(sink)).toEqual(['demo 2026-11-19', 'moved 2026-11-19', ...pro]);
  });

  it('counts no backup whose keys were destroyed: older ones without such keys are what can be restored', async () => {
    const sink = memorySink();
    const destroyed = ['16', '18', '19'];
    for (const day of ['15', '16', '17', '18', '19']) {
      const backup = storeBackup(sink, 'acme', `2026-11-${day}T02:00:00Z`);
      if (destroyed.includes(day)) storeNote(sink, { kind: 'destroyed', unit: 'acme', backup });
    }
    const rows: PrunedBackup[] = [];
    await prune(pruned({ sink }, { last: 1 }), { signal, observe: (row) => void rows.push(row) });
    expect(rows.map(({ outcome, status, reasons }) => [outcome, status, reasons[0]!.rule])).toEqual([
      ['kept', 'destroyed', 'damaged'],
      ['kept', 'destroyed', 'damaged'],
      ['kept', 'good', 'newest'],
      ['removed', 'destroyed', 'damaged'],
      ['removed', 'good', 'none'],
    ]);
  });

  it('refuses to do anything where nothing says what to keep', async () => {
    const sink = memorySink();
    storeBackup(sink, 'acme', '2020-01-01T02:00:00Z');
    await expect(prune(pruned({ sink }, undefined), { signal })).rejects.toMatchObject({
      code: 'usage.invalid',
    });
    expect(sink.log).toEqual([]);
  });

  it('is done by one process of a machine at a time, and gives its lock back', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'pgsilo-prune-'));
    onTestFinished(() => rm(scratch, { recursive: true, force: true }));
    const sink = memorySink();
    storeBackup(sink, 'acme', '2026-11-20T02:00:00Z');
    const pipeline = pruned({ sink }, { last: 1 }, scratch);
    await prune(pipeline, {
      signal,
      observe: async () => {
        await expect(prune(pipeline, { signal })).rejects.toMatchObject({ code: 'run.locked' });
        // Who only looks needs no lock.
        await prune(pipeline, { signal, dryRun: true });
      },
    });
    expect(await readdir(scratch)).toEqual([]);
    expect((await prune(pipeline, { signal })).status).toBe('ok');
  });

  it('keeps what it cannot read and says so; what is damaged holds nothing else', async () => {
    const sink = memorySink();
    for (const day of ['16', '17', '18', '19']) storeBackup(sink, 'acme', `2026-11-${day}T02:00:00Z`);
    const key = `vigia/units/acme/${idOf('2026-11-17T02:00:00Z')}/manifest.json`;
    sink.objects.set(key, Buffer.from(sink.objects.get(key)!.toString().replace('"good"', '"goad"')));
    const report = await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(listedIn(sink)).toEqual(['acme 2026-11-17', 'acme 2026-11-19']);
    expect(report).toMatchObject({ status: 'partial', sinks: [{ kept: 2, removed: 2, unreadable: 1 }] });
  });

  it('leaves a sink alone that cannot be listed, and prunes the others', async () => {
    const [near, far] = [memorySink(), memorySink()];
    for (const day of ['18', '19']) storeBackup([near, far], 'acme', `2026-11-${day}T02:00:00Z`);
    const down = {
      ...far,
      list: () => {
        throw new PgsiloError('sink.denied', 'the key is expired');
      },
    };
    const report = await prune(pruned({ down, near }, { last: 1 }), { signal });
    expect([listedIn(near), listedIn(far)].map((list) => list.length)).toEqual([1, 2]);
    expect(report).toMatchObject({
      status: 'partial',
      sinks: [{ error: { code: 'sink.denied' } }, { removed: 1 }],
    });
    await expect(prune(pruned({ down }, { last: 1 }), { signal })).rejects.toMatchObject({
      code: 'sink.denied',
    });
  });

  it('asks nothing more of a sink that denies', async () => {
    const sink = memorySink();
    for (let unit = 0; unit < 30; unit += 1)
      for (const day of ['18', '19']) storeBackup(sink, `t${unit}`, `2026-11-${day}T02:00:00Z`);
    let asked = 0;
    const denying = {
      ...sink,
      remove: () => {
        asked += 1;
        return Promise.reject(new PgsiloError('sink.denied', 'no s3:DeleteObject'));
      },
    };
    const report = await prune(pruned({ denying }, { last: 1 }), { signal });
    expect(report).toMatchObject({ status: 'partial', sinks: [{ kept: 30, failed: 30, removed: 0 }] });
    expect(listedIn(sink)).toHaveLength(60);
    // Those that were under way at once, and none after.
    expect(asked).toBeLessThanOrEqual(8);
  });

  it('does not make verify miss what it removed', async () => {
    const sink = memorySink();
    storeBackup(sink, 'acme', '2026-11-19T02:00:00Z');
    const report = storeReport(sink, '2026-11-19T02:00:00Z', ['acme']);
    const stored = [{ sink: 'sink', status: 'stored' }];
    const { checksum: _, ...whole } = JSON.parse(sink.objects.get(report)!.toString());
    const units = [{ ...whole.units[0], backup: idOf('2026-11-19T02:00:00Z'), sinks: stored }];
    sink.objects.set(report, sealDocument({ ...whole, units }));
    storeBackup(sink, 'acme', '2026-11-20T02:00:00Z');
    storeMarker(sink, '2026-11-20T02:00:00Z', ['acme']);
    storeReport(sink, '2026-11-20T02:00:00Z', ['acme'], true);
    const pipeline = pruned({ sink }, { last: 1 });
    await prune(pipeline, { signal });
    expect(listedIn(sink)).toEqual(['acme 2026-11-20']);
    expect((await verify(pipeline, { level: 'objects', all: true, signal })).missing).toEqual([]);
    sink.objects.delete(`vigia/units/acme/${idOf('2026-11-20T02:00:00Z')}/manifest.json`);
    expect((await verify(pipeline, { level: 'objects', all: true, signal })).missing).toHaveLength(1);
  });
});
