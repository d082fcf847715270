import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { prune } from '../../src/prune.ts';
import { memorySink } from '../memory-sink.ts';
import type { LoggedSink } from '../memory-sink.ts';
import { idOf, listedIn, pruned, storeBackup, storeNote, storeReport } from './store.ts';

const { signal } = new AbortController();
const retention = { last: 1, departed: { count: 2, unit: 'years' } } as const;

/** A unit that is there, and one whose two backups are as old as is said. */
function fleet(left: readonly [string, string]): LoggedSink {
  const sink = memorySink();
  storeBackup(sink, 'acme', '2026-11-20T02:00:00Z');
  for (const moment of left) storeBackup(sink, 'gone', moment);
  return sink;
}

async function leftOfGone(sink: LoggedSink): Promise<number> {
  await prune(pruned({ sink }, retention), { signal });
  expect(listedIn(sink)).toContain('acme 2026-11-20');
  return listedIn(sink).filter((line) => line.startsWith('gone')).length;
}

const longAgo = ['2024-11-19T02:00:00Z', '2024-11-20T02:00:00Z'] as const;

describe('a unit that left the registry', () => {
  it('keeps all its backups for `departed` after the newest, then none', async () => {
    const recent = fleet(['2024-11-21T02:00:00Z', '2024-11-22T02:00:00Z']);
    const over = fleet(longAgo);
    for (const sink of [recent, over]) storeReport(sink, '2026-11-20T02:00:00Z', ['acme']);
    expect([await leftOfGone(recent), await leftOfGone(over)]).toEqual([2, 0]);
  });

  it('is one that the newest whole run does not name: no run, or one of selected units, says so', async () => {
    const never = fleet(longAgo);
    const selected = fleet(longAgo);
    storeReport(selected, '2026-11-19T02:00:00Z', ['acme', 'gone']);
    storeReport(selected, '2026-11-20T02:00:00Z', ['acme'], true);
    expect([await leftOfGone(never), await leftOfGone(selected)]).toEqual([1, 1]);
  });

  it('is not one that has a newer backup than that run', async () => {
    const sink = fleet(['2024-11-19T02:00:00Z', '2024-11-21T02:00:00Z']);
    storeReport(sink, '2024-11-20T02:00:00Z', ['acme']);
    expect(await leftOfGone(sink)).toBe(1);
  });

  it('is held from the last run that named it, where its backups failed before it left', async () => {
    const sink = fleet(longAgo);
    storeReport(sink, '2025-06-01T02:00:00Z', ['acme', 'gone']);
    storeReport(sink, '2026-11-20T02:00:00Z', ['acme']);
    expect(await leftOfGone(sink)).toBe(2);
  });

  it('is not held longer because it was copied to another sink', async () => {
    const sink = fleet(longAgo);
    storeReport(sink, '2025-06-01T02:00:00Z', ['gone'], true);
    storeReport(sink, '2026-11-20T02:00:00Z', ['acme']);
    expect(await leftOfGone(sink)).toBe(0);
  });

  it('is held while a record that cannot be read may have named it', async () => {
    const sink = fleet(longAgo);
    const key = storeReport(sink, '2025-06-01T02:00:00Z', ['acme']);
    storeReport(sink, '2026-11-20T02:00:00Z', ['acme']);
    sink.objects.set(key, Buffer.from(sink.objects.get(key)!.toString().replace('acme', 'ecma')));
    expect(await leftOfGone(sink)).toBe(2);
  });

  it('loses not what is pinned', async () => {
    const sink = fleet(longAgo);
    storeReport(sink, '2026-11-20T02:00:00Z', ['acme']);
    storeNote(sink, { kind: 'pinned', unit: 'gone', backup: idOf(longAgo[0]), reason: 'court' });
    expect(await leftOfGone(sink)).toBe(1);
  });

  it('is like any other where nothing is said about departed ones', async () => {
    const sink = fleet(longAgo);
    storeReport(sink, '2026-11-20T02:00:00Z', ['acme']);
    await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(listedIn(sink)).toEqual(['acme 2026-11-20', 'gone 2024-11-20']);
  });

  it('keeps its newest while a sink cannot be listed: it may tell of a newer run', async () => {
    const sink = fleet(longAgo);
    storeReport(sink, '2026-11-20T02:00:00Z', ['acme']);
    const list = (): never => {
      throw new PgsiloError('sink.denied', 'the key is expired');
    };
    await prune(pruned({ sink, down: { ...memorySink(), list } }, retention), { signal });
    expect(listedIn(sink)).toEqual(['acme 2026-11-20', 'gone 2024-11-20']);
    expect(await leftOfGone(sink)).toBe(0);
  });
});
