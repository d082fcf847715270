import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PgsiloError } from '@pgsilo/plugin';
import type { Sink, Source, Transform } from '@pgsilo/plugin';
import type { Pipeline } from '../src/pipeline.ts';
import { fetchWal } from '../src/wal/wal-fetch.ts';
import { pushWal } from '../src/wal/wal-push.ts';
import { fakePipeline, fakeSource } from './fakes.ts';
import { memorySink, type LoggedSink } from './memory-sink.ts';

const name = '00000001000000000000000A';
const { signal } = new AbortController();
let folder: string;
let path: string;
let target: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgsilo-wal-'));
  path = join(folder, name);
  target = join(folder, 'RECOVERYXLOG');
  writeFileSync(path, 'a segment');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function walSource(examine: () => Promise<void> = () => Promise.resolve()): Source {
  const classify = (given: string): { name: string; timeline: string } | undefined =>
    /^[0-9A-F]{8}/.test(given) ? { name: given, timeline: given.slice(0, 8) } : undefined;
  return { ...fakeSource(), wal: { classify, examine } };
}

/** As encryption does it: other bytes each time. */
const salted: Transform = {
  suffix: '.salt',
  async encode(body) {
    return {
      parameters: { salt: 'is not needed' },
      body: (async function* () {
        yield randomBytes(8);
        yield* body;
      })(),
    };
  },
  async *decode(body) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    yield Buffer.concat(chunks).subarray(8);
  },
  byHand: () => 'tail -c +9',
};

function pipelineOf(sinks: Record<string, Sink>, optional: readonly string[] = []): Pipeline {
  const pipeline = fakePipeline(walSource(), sinks, { optional });
  return { ...pipeline, transforms: [{ use: 'salted', transform: salted }] };
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);
const keyOf = (text: string): string => `vigia/wal/00000001/${name}-${hash(text)}.salt`;
const away = (): Promise<never> => Promise.reject(new PgsiloError('sink.denied', 'away'));
const noList: Sink['list'] = async function* () {
  yield* [];
  throw new PgsiloError('sink.denied', 'away');
};

describe('push', () => {
  it('stores a file once, however often it is called, and whatever encryption makes of it', async () => {
    const sinks = { a: memorySink(), b: memorySink() };
    const first = await pushWal(pipelineOf(sinks), path, { signal });
    expect(first.sinks).toEqual(['a', 'b'].map((sink) => ({ sink, status: 'stored' })));
    const again = await pushWal(pipelineOf(sinks), path, { signal });
    expect(again.sinks).toEqual(['a', 'b'].map((sink) => ({ sink, status: 'there' })));
    // Four at once, of which each sees nothing at first.
    writeFileSync(join(folder, '00000001000000000000000B'), 'another');
    const racers = [1, 2, 3, 4].map(() =>
      pushWal(pipelineOf(sinks), join(folder, '00000001000000000000000B'), { signal }),
    );
    await Promise.all(racers);
    for (const sink of Object.values(sinks)) expect([...sink.objects.keys()]).toHaveLength(2);
    expect([...sinks.a.objects.keys()][0]).toBe(keyOf('a segment'));
  });

  it('never overwrites: another content is an error that names both, also of two calls at once', async () => {
    const sink = memorySink();
    await pushWal(pipelineOf({ sink }), path, { signal });
    writeFileSync(path, 'changed');
    await expect(pushWal(pipelineOf({ sink }), path, { signal })).rejects.toMatchObject({
      code: 'wal.conflict',
      message: expect.stringMatching(new RegExp(`${hash('a segment')}.* and .*${hash('changed')}`)),
    });
    expect([...sink.objects.keys()]).toEqual([keyOf('a segment')]);
    // The other call's object appears while ours is on its way.
    const rival = memorySink();
    const put: Sink['put'] = (...given) => {
      rival.objects.set(keyOf('of another server'), Buffer.from('x'));
      return rival.put(...given);
    };
    const call = pushWal(pipelineOf({ rival: { ...rival, put } }), path, { signal });
    await expect(call).rejects.toMatchObject({ code: 'wal.conflict' });
  });

  it('succeeds only when every required sink has it, and then whatever the others do', async () => {
    const [good, bad] = [memorySink(), { ...memorySink(), put: away }];
    await expect(pushWal(pipelineOf({ good, bad }), path, { signal })).rejects.toMatchObject({
      code: 'sink.denied',
    });
    const pushed = await pushWal(pipelineOf({ good, bad }, ['bad']), path, { signal });
    expect(pushed.sinks).toMatchObject([
      { status: 'there' },
      { status: 'failed', error: { code: 'sink.denied' } },
    ]);
    await expect(pushWal(pipelineOf({ good }, ['good']), path, { signal })).rejects.toMatchObject({
      code: 'config.invalid',
    });
  });

  it('takes what a killed call left for stored only when it is durable', async () => {
    const settled: string[] = [];
    const sink = { ...memorySink(), settle: async (key: string) => void settled.push(key) };
    await pushWal(pipelineOf({ sink }), path, { signal });
    expect(settled).toEqual([]);
    const again = await pushWal(pipelineOf({ sink }), path, { signal });
    expect([again.sinks, settled]).toEqual([[{ sink: 'sink', status: 'there' }], [keyOf('a segment')]]);
    const failing = { ...sink, settle: away };
    await expect(pushWal(pipelineOf({ failing }), path, { signal })).rejects.toMatchObject({
      code: 'sink.denied',
    });
  });

  it('refuses what is no file of the log, or damaged, and stores nothing of it', async () => {
    const sink = memorySink();
    writeFileSync(join(folder, 'core'), '');
    await expect(pushWal(pipelineOf({ sink }), join(folder, 'core'), { signal })).rejects.toMatchObject({
      code: 'usage.invalid',
    });
    const invalid = new PgsiloError('source.archive-invalid', 'cut');
    const strict = {
      ...pipelineOf({ sink }),
      source: { ...pipelineOf({ sink }).source, source: walSource(() => Promise.reject(invalid)) },
    };
    await expect(pushWal(strict, path, { signal })).rejects.toBe(invalid);
    await expect(pushWal(fakePipeline(fakeSource(), { sink }), path, { signal })).rejects.toMatchObject({
      code: 'usage.invalid',
    });
    expect([...sink.objects.keys()]).toEqual([]);
  });
});

describe('fetch', () => {
  let good: LoggedSink;
  beforeEach(async () => {
    good = memorySink();
    await pushWal(pipelineOf({ good }), path, { signal });
  });
  const fetch = (pipeline: Pipeline, given: string = name): Promise<boolean> =>
    fetchWal(pipeline, given, target, signal);

  it('does not take "no" for "never" where retention may have expired what a sink that is away still has', async () => {
    const away = { ...memorySink(), list: noList };
    const pipeline = pipelineOf({ good, away }, ['away']);
    expect(await fetch(pipeline, '00000002.history')).toBe(false);
    const retention = { timezone: 'UTC', rules: [], last: 1 };
    const sinks = pipeline.sinks.map((sink) => ({ ...sink, retention }));
    await expect(fetch({ ...pipeline, sinks }, '00000002.history')).rejects.toMatchObject({
      code: 'sink.denied',
    });
  });

  it('brings back what was archived, and says of nothing else that it was never there', async () => {
    expect(await fetch(pipelineOf({ good }))).toBe(true);
    expect(readFileSync(target, 'utf8')).toBe('a segment');
    expect(await fetch(pipelineOf({ good }), '00000002.history')).toBe(false);
    expect(await fetch(pipelineOf({ good }), `${name}.partial`)).toBe(false);
  });

  it('takes another sink where one does not answer, and does not say "never" while a required one does not', async () => {
    const lost = { ...memorySink(), list: noList };
    expect(await fetch(pipelineOf({ lost, good }))).toBe(true);
    await expect(fetch(pipelineOf({ lost, good }), '00000002.history')).rejects.toMatchObject({
      code: 'sink.denied',
    });
    // Whatever was archived is in every required sink.
    expect(await fetch(pipelineOf({ lost, good }, ['lost']), '00000002.history')).toBe(false);
  });

  it.each([
    ['altered', (bytes: Buffer) => ((bytes[bytes.length - 1]! ^= 1), bytes), 'sink.corrupt'],
    ['cut', (bytes: Buffer) => bytes.subarray(0, -1), 'sink.corrupt'],
  ])('gives nothing of a file that was %s, but the copy in another sink', async (_how, damage, code) => {
    const key = keyOf('a segment');
    const other = memorySink();
    await pushWal(pipelineOf({ other }), path, { signal });
    good.objects.set(key, damage(Buffer.from(good.objects.get(key)!)));
    await expect(fetch(pipelineOf({ good }))).rejects.toMatchObject({ code });
    await expect(fetch(pipelineOf({ good }, ['good']))).rejects.toMatchObject({ code });
    // Nor is anything of it left beside.
    expect(readdirSync(folder)).toEqual([name]);
    expect(await fetch(pipelineOf({ good, other }))).toBe(true);
    expect(readFileSync(target, 'utf8')).toBe('a segment');
  });

  it('gives neither of two contents under one name', async () => {
    good.objects.set(keyOf('of another server'), Buffer.from('x'));
    await expect(fetch(pipelineOf({ good }))).rejects.toMatchObject({ code: 'wal.conflict' });
    expect(existsSync(target)).toBe(false);
  });
});
