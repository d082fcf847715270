import { PgsiloError } from '@pgsilo/plugin';
import type { RetainedObject, Sink } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { prune } from '../../src/prune.ts';
import type { PrunedBackup } from '../../src/prune-report.ts';
import { memorySink } from '../memory-sink.ts';
import type { LoggedSink } from '../memory-sink.ts';
import { idOf, listedIn, pruned, storeBackup, storeNote } from './store.ts';

const { signal } = new AbortController();
const until = new Date('2027-01-01T00:00:00Z');

/** A full backup, two that build upon it one after another, and a newer full one. */
function storeChain(sink: LoggedSink): void {
  const full = storeBackup(sink, 'acme', '2026-11-15T02:00:00Z');
  const first = storeBackup(sink, 'acme', '2026-11-16T02:00:00Z', { requires: [full] });
  storeBackup(sink, 'acme', '2026-11-17T02:00:00Z', { requires: [first] });
  storeBackup(sink, 'acme', '2026-11-19T02:00:00Z');
}

/** A sink whose store keeps what `held` names. */
function retaining(sink: LoggedSink, held: (key: string) => boolean): Sink {
  return {
    ...sink,
    async remove(keys, context): Promise<readonly RetainedObject[]> {
      await sink.remove(
        keys.filter((key) => !held(key)),
        context,
      );
      return keys.filter((key) => held(key) && sink.objects.has(key)).map((key) => ({ key, until }));
    },
  };
}

/** Backups that are listed and cannot be restored: an object is missing, or one that they require is not listed. */
function brokenIn(sink: LoggedSink): string[] {
  return [...sink.objects.keys()]
    .filter((key) => key.endsWith('/manifest.json'))
    .filter((key) => {
      const { requires, artifacts } = JSON.parse(sink.objects.get(key)!.toString());
      const folder = key.slice(0, -'manifest.json'.length);
      const unit = folder.slice(0, folder.slice(0, -1).lastIndexOf('/') + 1);
      const needed = [
        ...artifacts.map((artifact: { key: string }) => folder + artifact.key),
        ...requires.map((backup: string) => `${unit}${backup}/manifest.json`),
      ];
      return needed.some((each) => !sink.objects.has(each));
    });
}

async function outcomes(sink: Sink): Promise<{ rows: string[]; status: string }> {
  const rows: string[] = [];
  const observe = ({ backup, outcome, reasons }: PrunedBackup): void =>
    void rows.push(`${backup.slice(6, 8)} ${outcome} ${reasons.map(({ rule }) => rule).join()}`);
  const { status } = await prune(pruned({ sink }, { last: 1 }), { signal, observe });
  return { rows, status };
}

describe('what the store retains is no error', () => {
  it('keeps a backup whole and listed whose manifest is locked, with all that it requires', async () => {
    const sink = memorySink();
    storeChain(sink);
    const { rows, status } = await outcomes(retaining(sink, (key) => /20261116.*manifest/.test(key)));
    expect(rows).toEqual(['19 kept newest,last', '17 removed none', '16 retained none', '15 kept required']);
    expect([status, brokenIn(sink)]).toEqual(['ok', []]);
    expect((await outcomes(sink)).rows).toEqual([
      '19 kept newest,last',
      '16 removed none',
      '15 removed none',
    ]);
  });

  it('tells until when, and of objects that outlive their backup, which a later prune sweeps', async () => {
    const sink = memorySink();
    storeChain(sink);
    const rows: PrunedBackup[] = [];
    const locked = retaining(sink, (key) => key.includes('20261116') && !key.endsWith('manifest.json'));
    const first = pruned({ sink: locked }, { last: 1 });
    await prune(first, { signal, observe: (row) => void rows.push(row) });
    expect(rows.map(({ outcome, retainedObjects }) => [outcome, retainedObjects])).toEqual([
      ['kept', undefined],
      ['removed', 0],
      ['removed', 2],
      ['removed', 0],
    ]);
    expect([...sink.objects.keys()].filter((key) => key.includes('20261116'))).toHaveLength(2);
    expect((await prune(first, { signal })).status).toBe('ok');
    const report = await prune(pruned({ sink }, { last: 1 }), { signal });
    expect(report.sinks[0]!.garbage).toBe(2);
    expect([...sink.objects.keys()].some((key) => key.includes('20261116'))).toBe(false);
  });

  it('says `until` of a locked manifest', async () => {
    const sink = memorySink();
    storeChain(sink);
    const rows: PrunedBackup[] = [];
    await prune(pruned({ sink: retaining(sink, () => true) }, { last: 1 }), {
      signal,
      observe: (row) => void rows.push(row),
    });
    expect(rows.map(({ outcome }) => outcome)).toEqual(['kept', 'retained', 'kept', 'kept']);
    expect(rows[1]!.until).toEqual(until);
    expect(listedIn(sink)).toHaveLength(4);
  });
});

describe('a prune that breaks off', () => {
  /** Fails for good at the n-th removal of an object. @returns whether it came so far. */
  async function breakAt(sink: LoggedSink, step: number, how: 'killed' | 'denied'): Promise<boolean> {
    const abort = new AbortController();
    let removed = 0;
    const failing: Sink = {
      ...sink,
      async remove(keys, context) {
        for (const key of keys) {
          if (removed === step) {
            if (how === 'killed') abort.abort(new PgsiloError('aborted', 'interrupted'));
            throw new PgsiloError(how === 'killed' ? 'aborted' : 'sink.denied', 'no more');
          }
          removed += 1;
          await sink.remove([key], context);
        }
        return [];
      },
    };
    const work = prune(pruned({ sink: failing }, { last: 1 }), { signal: abort.signal });
    if (how === 'killed') {
      const error = await work.then(
        () => undefined,
        (thrown: PgsiloError) => thrown.code,
      );
      return error === 'aborted';
    }
    return (await work).status === 'partial';
  }

  it.each(['killed', 'denied'] as const)(
    'at any object (%s) leaves only backups that can be restored, and the next prune ends what it began',
    async (how) => {
      let steps = 0;
      for (let goesOn = true; goesOn; steps += 1) {
        const sink = memorySink();
        storeChain(sink);
        storeNote(sink, { kind: 'verified', unit: 'acme', backup: idOf('2026-11-15T02:00:00Z') });
        goesOn = await breakAt(sink, steps, how);
        expect(brokenIn(sink), `after ${steps} removed objects`).toEqual([]);
        await prune(pruned({ sink }, { last: 1 }), { signal });
        const left = [...sink.objects.keys()].filter((key) => !key.includes('20261119'));
        expect(left, `after ${steps} removed objects and another prune`).toEqual([]);
      }
      // Three backups of three objects each, and a note.
      expect(steps).toBe(3 * 3 + 1 + 1);
    },
  );
});
