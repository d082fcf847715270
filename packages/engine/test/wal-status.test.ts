import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { PgsiloError } from '@pgsilo/plugin';
import type { ArchiverState, Sink, Source, WalFiles, WalLeg } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import type { Pipeline } from '../src/pipeline.ts';
import { walStatus } from '../src/wal/wal-status.ts';
import type { WalStatus } from '../src/wal/wal-status-report.ts';
import { fakePipeline, fakeSource } from './fakes.ts';
import { memorySink, type LoggedSink } from './memory-sink.ts';
import { storeBackup } from './retention/store.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const { signal } = new AbortController();
const hex = (number: number): string => number.toString(16).toUpperCase().padStart(8, '0');
const nameOf = (timeline: string, number: number): string => timeline + hex(number >> 8) + hex(number & 255);

/** Of 256 segments in a file; `about` of a backup says its way. */
const wal: WalFiles = {
  classify: (name) =>
    /^[0-9A-F]{8}([0-9A-F]{16}|\.history)$/.test(name) ? { name, timeline: name.slice(0, 8) } : undefined,
  examine: () => Promise.resolve(),
  segments: {
    usualBytes: 1000,
    bytesOf: () => undefined,
    numberOf: (name) =>
      name.length === 24
        ? Number.parseInt(name.slice(8, 16), 16) * 256 + Number.parseInt(name.slice(16), 16)
        : undefined,
    nameOf,
    way: ({ way }, _bytes, histories) =>
      JSON.parse(histories.get('00000002') ?? String(way)) as readonly WalLeg[],
  },
};

const keyOf = (name: string, hash = '0'): string =>
  `vigia/wal/${name.slice(0, 8)}/${name}-${hash.repeat(16)}`;

function put(sink: LoggedSink, timeline: string, ...numbers: readonly number[]): void {
  for (const number of numbers) sink.objects.set(keyOf(nameOf(timeline, number)), Buffer.from('wal'));
}

const backUp = (sinks: LoggedSink | readonly LoggedSink[], day: number, ...way: readonly WalLeg[]): string =>
  storeBackup(sinks, '@cluster', `2026-11-${day}T02:00:00Z`, { about: { way: JSON.stringify(way) } });

const status = (
  sinks: Record<string, Sink>,
  more: Partial<Source> = {},
  optional: string[] = [],
): Promise<WalStatus> => walStatus(pipelineOf(sinks, more, optional), signal);

function pipelineOf(sinks: Record<string, Sink>, more: Partial<Source>, optional: string[]): Pipeline {
  return fakePipeline({ ...fakeSource(), wal, ...more }, sinks, { optional });
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at);

const state: ArchiverState = {
  segmentBytes: 1000,
  mode: 'on',
  configured: true,
  standby: false,
  timeline: '00000001',
  segment: 25,
  written: 10,
  failures: 0,
  failing: false,
};
const unasked = (): Promise<never> => Promise.reject(new PgsiloError('internal', 'unasked'));
const archiver = (more: Partial<ArchiverState>): Partial<Source> => ({
  archiver: { setup: unasked, state: () => Promise.resolve({ ...state, ...more }) },
});

describe('wal status', () => {
  it('tells what is there, what is missing, and how far each backup can be brought', async () => {
    const sink = memorySink();
    put(sink, '00000001', ...numbers(300, 310), ...numbers(313, 320), ...numbers(322, 330));
    backUp(sink, 10, { timeline: '00000001', from: 299 });
    backUp(sink, 11, { timeline: '00000001', from: 305 });
    backUp(sink, 12, { timeline: '00000001', from: 322 });
    backUp(sink, 13, { timeline: '00000001', from: 331 });
    const { sinks, status: word } = await status({ sink });
    const t = (number: number): string => nameOf('00000001', number);
    expect(sinks[0]!.timelines).toEqual([
      {
        timeline: '00000001',
        first: t(300),
        last: t(330),
        segments: 28,
        bytes: 84,
        missing: 3,
        gaps: [
          { first: t(311), last: t(312), segments: 2 },
          { first: t(321), last: t(321), segments: 1 },
        ],
      },
    ]);
    const gap = (from: number, to: number): object => ({
      first: t(from),
      last: t(to),
      segments: to - from + 1,
      elsewhere: false,
    });
    expect(sinks[0]!.windows.map(({ backup: _, from: _from, until: _until, ...rest }) => rest)).toEqual([
      {},
      { last: t(330) },
      { last: t(310), gap: gap(311, 312) },
      { gap: gap(299, 299) },
    ]);
    expect(word).toBe('failed');
  });

  it('is content with gaps that no kept backup needs', async () => {
    const sink = memorySink();
    put(sink, '00000001', 5, 9, ...numbers(20, 24));
    backUp(sink, 12, { timeline: '00000001', from: 20 });
    expect(await status({ sink })).toMatchObject({ status: 'ok', sinks: [{ timelines: [{ missing: 13 }] }] });
    // Nothing of a timeline that ends where the next begins; and one whose end is missing.
    const legs = (from: number): string =>
      JSON.stringify([
        { timeline: '00000001', from, to: 24 },
        { timeline: '00000002', from: 25 },
      ]);
    sink.objects.set(keyOf('00000002.history'), Buffer.from(legs(20)));
    put(sink, '00000002', 25, 26);
    const followed = await status({ sink });
    expect(followed).toMatchObject({
      status: 'ok',
      sinks: [{ windows: [{ last: nameOf('00000002', 26) }] }],
    });
    sink.objects.delete(keyOf(nameOf('00000001', 24)));
    const cut = await status({ sink });
    const missing = nameOf('00000001', 24);
    expect(cut).toMatchObject({
      status: 'failed',
      sinks: [{ windows: [{ last: nameOf('00000001', 23), gap: { first: missing, last: missing } }] }],
    });
  });

  it('looks into other sinks for what one lacks, and passes over one that does not answer', async () => {
    const [a, b] = [memorySink(), memorySink()];
    put(a, '00000001', 20, 21, 24);
    put(b, '00000001', 22, 23);
    backUp([a], 12, { timeline: '00000001', from: 20 });
    expect(await status({ a, b })).toMatchObject({
      status: 'ok',
      sinks: [{ windows: [{ gap: { segments: 2, elsewhere: true } }] }, { windows: [] }],
    });
    b.objects.delete(keyOf(nameOf('00000001', 23)));
    expect((await status({ a, b })).status).toBe('failed');
    const away: Sink['list'] = async function* () {
      yield* [];
      throw new PgsiloError('sink.denied', 'away');
    };
    put(a, '00000001', 22, 23);
    const half = await status({ a, b: { ...b, list: away } }, {}, ['b']);
    expect(half).toMatchObject({ status: 'failed', sinks: [{}, { error: { code: 'sink.denied' } }] });
  });

  it('looks once more for what a list has passed by, and takes no segment with two contents for one', async () => {
    const sink = memorySink();
    put(sink, '00000001', 20, 21, 22, 23);
    backUp(sink, 12, { timeline: '00000001', from: 20 });
    let lists = 0;
    const list: Sink['list'] = async function* (prefix, context) {
      lists += 1;
      for await (const info of sink.list(prefix, context))
        if (!(prefix.endsWith('/wal/') && info.key.includes(nameOf('00000001', 21)))) yield info;
    };
    expect(await status({ sink: { ...sink, list } })).toMatchObject({
      status: 'ok',
      sinks: [{ windows: [{ last: nameOf('00000001', 23) }] }],
    });
    expect(lists).toBeGreaterThan(2);
    sink.objects.set(keyOf(nameOf('00000001', 22), '1'), Buffer.from('another'));
    expect(await status({ sink })).toMatchObject({
      status: 'failed',
      sinks: [{ conflicts: [nameOf('00000001', 22)], windows: [{ last: nameOf('00000001', 21) }] }],
    });
  });

  it('says how far behind the slowest required sink is, and when the disk will be full', async () => {
    const sinks = { fast: memorySink(), slow: memorySink(), optional: memorySink() };
    for (const sink of Object.values(sinks)) backUp(sink, 12, { timeline: '00000001', from: 20 });
    put(sinks.fast, '00000001', 20, 21, 22);
    put(sinks.slow, '00000001', 20, 21);
    const seen = await status(sinks, archiver({}), ['optional']);
    expect(seen).toMatchObject({
      status: 'ok',
      behind: { newest: nameOf('00000001', 21), segments: 3, bytes: 3010 },
    });
    const failing = { failing: true, waiting: { files: 3, age: 6000 } };
    const remote = await status(sinks, archiver(failing), ['optional']);
    expect(remote).toMatchObject({ status: 'failed', behind: { oldestWaiting: 6000 } });
    expect(remote.behind).not.toHaveProperty('full');
    const local = await status(sinks, archiver({ ...failing, disk: { free: 50_000 } }), ['optional']);
    expect(local.behind!.full).toBe(100_000);
    const silent = {
      archiver: {
        setup: unasked,
        state: () => Promise.reject(new PgsiloError('source.unreachable', 'away')),
      },
    };
    expect(await status(sinks, silent)).toMatchObject({
      status: 'ok',
      server: { error: { code: 'source.unreachable' } },
    });
  });

  it('needs no more memory for a million segments in no order', { timeout: 120_000 }, async () => {
    const sink = memorySink();
    backUp(sink, 12, { timeline: '00000001', from: 0 });
    const modified = new Date();
    let most = 0;
    const list: Sink['list'] = async function* (prefix, context) {
      if (!prefix.includes('/wal/')) return yield* sink.list(prefix, context);
      const [, one] = /-?([0-9A-F]{24})-$/.exec(prefix) ?? [];
      if (one !== undefined) return yield { key: keyOf(one), bytes: 3, modified };
      collect();
      const before = process.memoryUsage().heapUsed;
      // Each number below 2^20 once, far from the one before it.
      for (let at = 0; at < 2 ** 20; at += 1) {
        const number = (at * 611_953) % 2 ** 20;
        yield { key: keyOf(nameOf('00000001', number)), bytes: 3, modified };
        if (at % 2 ** 18 !== 2 ** 18 - 1) continue;
        collect();
        most = Math.max(most, process.memoryUsage().heapUsed - before);
      }
    };
    const { sinks } = await status({ sink: { ...sink, list } });
    expect(sinks[0]).toMatchObject({
      timelines: [{ segments: 2 ** 20, missing: 0, bytes: 3 * 2 ** 20 }],
      windows: [{ last: nameOf('00000001', 2 ** 20 - 1) }],
    });
    // Their names alone would be more than a hundred.
    expect(most).toBeLessThan(40e6);
  });
});
