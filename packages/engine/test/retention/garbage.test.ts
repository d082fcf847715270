import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, it, onTestFinished } from 'vitest';
import { backup } from '../../src/run.ts';
import { prune } from '../../src/prune.ts';
import { verify } from '../../src/verify.ts';
import { bytes, facts, fakePipeline, fakeSource, job } from '../fakes.ts';
import { memorySink } from '../memory-sink.ts';
import { idOf, listedIn, now, pruned, storeBackup, storeMarker, storeNote, storeReport } from './store.ts';

const { signal } = new AbortController();
const orphanOf = (unit: string, moment: string): string =>
  `vigia/units/${unit}/${idOf(moment)}/database.dump`;

function storeOf(...orphans: readonly string[]) {
  const sink = memorySink();
  storeBackup(sink, 'acme', '2026-11-20T02:00:00Z');
  for (const key of orphans) sink.objects.set(key, Buffer.from('half'));
  return sink;
}

describe('objects of no backup', () => {
  it('are removed when their run left no marker, or one older than seven days', async () => {
    const [unmarked, old] = ['2026-11-20T03:00:00Z', '2026-11-14T11:59:59Z'];
    const sink = storeOf(orphanOf('acme', unmarked), orphanOf('globex', old));
    storeMarker(sink, old, ['globex']);
    storeReport(sink, old, ['globex']);
    const report = await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(report.sinks[0]!.garbage).toBe(2);
    expect(sink.log.filter((line) => line.startsWith('remove'))).toHaveLength(2);
    expect(listedIn(sink)).toEqual(['acme 2026-11-20']);
  });

  it.each([
    ['whose run began within seven days', '2026-11-14T12:00:01Z', '2026-11-14T12:00:01Z', 'acme'],
    [
      'of a unit that such a run works on, under whatever id: it may be a copy',
      '2025-01-01T02:00:00Z',
      '2026-11-21T02:00:00Z',
      'acme',
    ],
  ])('stay %s', async (_which, orphan, marker, unit) => {
    const sink = storeOf(orphanOf(unit, orphan));
    storeMarker(sink, marker, [unit]);
    const report = await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(report.sinks[0]!.garbage).toBe(0);
    expect(sink.objects.has(orphanOf(unit, orphan))).toBe(true);
  });

  it('stay for these seven days also when that run has ended', async () => {
    const moment = '2026-11-20T02:00:01Z';
    const sink = storeOf(orphanOf('acme', moment));
    storeMarker(sink, moment, ['acme']);
    storeReport(sink, moment, ['acme']);
    await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(sink.objects.has(orphanOf('acme', moment))).toBe(true);
  });

  it('stay while the marker of a run that may be at work cannot be read', async () => {
    const orphan = orphanOf('acme', '2025-01-01T02:00:00Z');
    const sink = storeOf(orphan);
    sink.objects.set(`vigia/runs/${idOf('2026-11-21T02:00:00Z')}.begin.json`, Buffer.from('{'));
    await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(sink.objects.has(orphan)).toBe(true);
  });

  it('are looked at again before they go: a manifest may have come', async () => {
    const moment = '2025-01-01T02:00:00Z';
    const sink = storeOf(orphanOf('globex', moment));
    const late = {
      ...sink,
      async *list(...given: Parameters<typeof sink.list>) {
        yield* sink.list(...given);
        if (given[0] === 'vigia/units/') storeBackup(sink, 'globex', moment);
      },
    };
    await prune(pruned({ late }, { last: 1 }), { signal });
    expect(listedIn(sink)).toContain('globex 2025-01-01');
    expect(sink.objects.has(orphanOf('globex', moment))).toBe(true);
  });

  it('that foreign programs put there are no business of pgsilo', async () => {
    const foreign = [
      'vigia/units/acme/README',
      'vigia/units/acme/not-an-id/x',
      'vigia/other/x',
      'shop/units/acme/x',
    ];
    const sink = storeOf(...foreign);
    await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(foreign.every((key) => sink.objects.has(key))).toBe(true);
  });
});

describe('notes about backups that no sink has', () => {
  it('are removed, but for those that tell of a destruction', async () => {
    const [sink, other] = [storeOf(), memorySink()];
    const gone = { unit: 'acme', backup: idOf('2026-01-01T02:00:00Z') };
    const elsewhere = storeBackup(other, 'acme', '2026-02-01T02:00:00Z');
    const stale = storeNote(sink, { kind: 'verified', ...gone });
    const destroyed = storeNote(sink, { kind: 'destroyed', ...gone });
    const held = storeNote(sink, { kind: 'verified', unit: 'acme', backup: elsewhere });
    const report = await prune(pruned({ sink, other }, { sink: { last: 1 }, other: undefined }), { signal });
    expect([stale, destroyed, held].map((key) => sink.objects.has(key))).toEqual([false, true, true]);
    expect(report.sinks[0]!.garbage).toBe(1);
  });
});

describe('notes about a backup of which a sink holds only objects', () => {
  it('stay while another sink cannot be listed: it may hold the backup', async () => {
    const moment = '2026-01-01T02:00:00Z';
    const [sink, other] = [storeOf(orphanOf('acme', moment)), memorySink()];
    const note = storeNote(sink, { kind: 'verified', unit: 'acme', backup: idOf(moment) });
    const list = (): never => {
      throw new PgsiloError('sink.denied', 'the key is expired');
    };
    await prune(pruned({ sink, other: { ...other, list } }, { last: 1 }), { signal });
    expect([orphanOf('acme', moment), note].map((key) => sink.objects.has(key))).toEqual([false, true]);
    await prune(pruned({ sink, other }, { last: 1 }), { signal });
    expect(sink.objects.has(note)).toBe(false);
  });
});

describe('a backup that goes on while another machine prunes', () => {
  it('loses nothing, wherever it is', async () => {
    const sink = memorySink();
    const source = fakeSource(job('acme'), job('globex'));
    const running = { ...fakePipeline(source, { sink }), clock: pruned({ sink }, { last: 1 }).clock };
    const first = await backup(running, { signal });
    const pipeline = pruned({ sink }, { last: 1 });
    const scratch = await mkdtemp(join(tmpdir(), 'pgsilo-prune-'));
    onTestFinished(() => rm(scratch, { recursive: true, force: true }));
    // A prune after each chunk of every artifact, and before the manifests are written.
    let prunes = 0;
    const pruneNow = async (): Promise<void> => {
      prunes += 1;
      // A scratch folder of its own each: on other machines there is no lock of this one.
      await prune({ ...pipeline, scratch: join(scratch, String(prunes)) }, { signal });
    };
    source.readWith = async function* (given) {
      const name = given.units[0]!.name;
      for (const artifact of ['database.dump', 'settings.json']) {
        const body = async function* () {
          for (const chunk of ['one', 'two']) {
            yield* bytes(chunk);
            await pruneNow();
          }
        };
        yield { type: 'artifact', unit: name, name: artifact, format: 'json', body: body() };
        await pruneNow();
      }
      yield { type: 'facts', unit: name, facts: { ...facts, snapshotAt: now.toISOString() } };
    };
    const report = await backup(running, { signal });
    expect([report.status, prunes]).toEqual(['ok', 12]);
    expect(first.status).toBe('ok');
    expect(await verify(running, { level: 'objects', all: true, signal })).toMatchObject({ status: 'ok' });
  });

  it('loses nothing either when it began after the sink was listed', async () => {
    const sink = storeOf();
    const moment = '2026-11-21T11:59:00Z';
    const late = {
      ...sink,
      async *list(...given: Parameters<typeof sink.list>) {
        if (given[0] === 'vigia/units/' && !sink.objects.has(orphanOf('acme', moment))) {
          storeMarker(sink, moment, ['acme']);
          sink.objects.set(orphanOf('acme', moment), Buffer.from('half'));
        }
        yield* sink.list(...given);
      },
    };
    await prune(pruned({ late }, { last: 1 }), { signal });
    expect(sink.objects.has(orphanOf('acme', moment))).toBe(true);
  });
});
