import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PgsiloError } from '@pgsilo/plugin';
import type { Sink, WalFiles } from '@pgsilo/plugin';
import { memorySink as plainSink } from '@pgsilo/testkit';
import { afterAll, describe, expect, it } from 'vitest';
import type { Pipeline } from '../../src/pipeline.ts';
import { prune } from '../../src/prune.ts';
import type { PruneReport } from '../../src/prune-report.ts';
import { memorySink } from '../memory-sink.ts';
import { pruned, storeBackup, type Kept } from './store.ts';

const { signal } = new AbortController();

/** Of its own: the lock of a prune lies there, and other files of tests prune a pipeline of that name at the same time. */
const scratch = mkdtempSync(join(tmpdir(), 'pgsilo-prune-wal-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Files are numbers of two digits in one timeline; a backup needs those from its own on. */
const wal: WalFiles = {
  classify: (name) => (/^\d+$/.test(name) ? { name, timeline: '1' } : undefined),
  examine: () => Promise.resolve(),
  firstNeeded: ({ from }) => (typeof from === 'string' ? from : undefined),
  isExpired: (name, firsts) => firsts.length > 0 && firsts.every((first) => name < first),
};

const keyOf = (name: string): string => `vigia/wal/1/${name}-0123456789abcdef.zst`;

/** The testkit's sink, in which the time of what is stored can be told. */
function walSink(files: Readonly<Record<string, string>>): Sink & { readonly wal: () => string[] } {
  const sink = memorySink();
  const listed = sink.list;
  const at = new Map(Object.entries(files).map(([name, modified]) => [keyOf(name), new Date(modified)]));
  for (const key of at.keys()) sink.objects.set(key, Buffer.from('wal'));
  const list: Sink['list'] = async function* (...given) {
    for await (const info of listed(...given)) yield { ...info, modified: at.get(info.key) ?? info.modified };
  };
  const names = (): string[] =>
    [...sink.objects.keys()].flatMap((key) => /\/wal\/1\/(\w+)/.exec(key)?.[1] ?? []).sort();
  return Object.assign(sink, { list, wal: names });
}

function pipelineOf(
  sinks: Record<string, Sink>,
  retention: Kept | Record<string, Kept> = { last: 1 },
): Pipeline {
  const pipeline = pruned(sinks, retention, scratch);
  return { ...pipeline, source: { ...pipeline.source, source: { ...pipeline.source.source, wal } } };
}

const prunedOf = (sink: Sink, dryRun = false): Promise<PruneReport> =>
  prune(pipelineOf({ sink }), { signal, dryRun });

/** Of ten files one a day, from the 10th to the 19th at noon. */
const days = (): Record<string, string> =>
  Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`${10 + at}`, `2026-11-${10 + at}T12:00:00Z`]));

/** A backup at two in the morning, which needs the log from the day's file on. */
const backUp = (sink: Sink, day: string, from: string | undefined = day): string =>
  storeBackup(sink as ReturnType<typeof memorySink>, '@cluster', `2026-11-${day}T02:00:00Z`, {
    about: from === undefined ? {} : { from },
  });

describe('prune of write-ahead log', () => {
  it('removes what no backup needs that stays, and says on a dry run the same', async () => {
    const sink = walSink(days());
    for (const day of ['12', '15', '17']) backUp(sink, day);
    const before = sink.wal();
    const dry = await prunedOf(sink, true);
    expect(sink.wal()).toEqual(before);
    const report = await prunedOf(sink);
    expect(sink.wal()).toEqual(['17', '18', '19']);
    expect(report.sinks[0]!.wal).toEqual({ kept: 3, removed: 7, bytes: 21, retained: 0, unknown: 0 });
    expect(dry.sinks).toEqual(report.sinks);
    expect(report.status).toBe('ok');
    expect((await prunedOf(sink)).sinks[0]!.wal).toMatchObject({ kept: 3, removed: 0 });
  });

  it('counts for each sink its own backups, and looks at none that has no retention', async () => {
    const [near, far, vault] = [walSink(days()), walSink(days()), walSink(days())];
    for (const sink of [near, far, vault]) for (const day of ['12', '15', '17']) backUp(sink, day);
    const sinks = { near, far, vault };
    const report = await prune(pipelineOf(sinks, { near: { last: 1 }, far: { last: 2 } }), { signal });
    expect([near, far, vault].map((sink) => sink.wal()[0])).toEqual(['17', '15', '10']);
    expect(report.sinks.map((sink) => sink.wal?.removed)).toEqual([7, 5, undefined]);
  });

  it('keeps all where no backup is kept, or one does not say what it needs, and says so', async () => {
    const none = walSink(days());
    expect((await prunedOf(none)).sinks[0]!.wal).toMatchObject({
      kept: 10,
      removed: 0,
      held: 'no base backup is kept there',
    });
    const silent = walSink(days());
    const backup = backUp(silent, '17');
    storeBackup(silent as never, '@cluster', '2026-11-18T02:00:00Z');
    const report = await prune(pipelineOf({ silent }, { last: 2 }), { signal });
    expect(report.sinks[0]!.wal).toMatchObject({ removed: 0, held: expect.stringContaining('20261118') });
    const torn = walSink(days());
    backUp(torn, '17');
    (torn as never as ReturnType<typeof memorySink>).objects.set(
      `vigia/units/@cluster/${backup.replace('17T', '12T')}/manifest.json`,
      Buffer.from('{'),
    );
    const unread = await prunedOf(torn);
    expect([torn.wal().length, unread.status]).toEqual([10, 'partial']);
  });

  it('keeps what was stored since the newest backup began: one that is being made may need it', async () => {
    const sink = walSink({ ...days(), '01': '2026-11-17T01:30:00Z', '02': '2026-11-17T00:59:00Z' });
    backUp(sink, '17');
    await prunedOf(sink);
    expect(sink.wal()).toEqual(['01', '17', '18', '19']);
  });

  it('leaves alone what it does not know', async () => {
    const sink = walSink(days());
    backUp(sink, '17');
    const { objects } = sink as never as ReturnType<typeof memorySink>;
    const foreign = ['vigia/wal/2/11-0123456789abcdef', 'vigia/wal/1/11', 'vigia/wal/1/note.txt'];
    for (const key of foreign) objects.set(key, Buffer.from('x'));
    const report = await prunedOf(sink);
    expect(foreign.every((key) => objects.has(key))).toBe(true);
    expect(report.sinks[0]!.wal).toMatchObject({ kept: 6, unknown: 3, removed: 7 });
  });

  it('takes what the store holds for no error, and a store that fails for one', async () => {
    const sink = walSink(days());
    backUp(sink, '17');
    const until = new Date('2027-01-01T00:00:00Z');
    const remove: Sink['remove'] = async (keys, context) => {
      const locked = keys.filter((key) => key.includes('/1/12'));
      await sink.remove(
        keys.filter((key) => !locked.includes(key)),
        context,
      );
      return locked.map((key) => ({ key, until }));
    };
    const report = await prunedOf({ ...sink, remove });
    expect(report.status).toBe('ok');
    expect(report.sinks[0]!.wal).toMatchObject({ removed: 6, retained: 1, until });
    const denied = { ...sink, remove: () => Promise.reject(new PgsiloError('sink.denied', 'no')) };
    expect(await prunedOf(denied)).toMatchObject({
      status: 'partial',
      sinks: [{ error: { code: 'sink.denied' } }],
    });
  });

  it('holds no more than a thousand of a hundred thousand keys', async () => {
    const sink = plainSink();
    backUp(
      {
        ...memorySink(),
        objects: {
          set: (key: string, bytes: Buffer) => sink.objects.set(key, { bytes, modified: new Date() }),
        },
      } as never,
      '17',
      '999999',
    );
    let given = 0;
    let gone = 0;
    let most = 0;
    const list: Sink['list'] = async function* (prefix, context) {
      if (!prefix.startsWith('vigia/wal/')) return yield* sink.list(prefix, context);
      for (; given < 100_000; given++) {
        most = Math.max(most, given - gone);
        yield { key: keyOf(`${100_000 + given}`), bytes: 1, modified: new Date('2026-11-01T00:00:00Z') };
      }
    };
    const remove: Sink['remove'] = (keys) => {
      gone += keys.length;
      return Promise.resolve([]);
    };
    const report = await prunedOf({ ...sink, list, remove });
    expect(report.sinks[0]!.wal).toMatchObject({ removed: 100_000, kept: 0 });
    expect(most).toBeLessThanOrEqual(1000);
  });
});
