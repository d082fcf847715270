import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PgsiloError } from '@pgsilo/plugin';
import type { Sink, WalQueue } from '@pgsilo/plugin';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pipeline } from '../src/pipeline.ts';
import { pushWal } from '../src/wal/wal-push.ts';
import type { WalPushed } from '../src/wal/wal-push-file.ts';
import { fakePipeline, fakeSource } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

let folder: string;
let names: string[];
let notes: Map<string, string>;
let queue: WalQueue;
const { signal } = new AbortController();
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgsilo-waiting-'));
  names = [];
  notes = new Map();
  queue = {
    next: (most, except) =>
      Promise.resolve(
        names
          .slice(1)
          .map((name) => join(folder, name))
          .filter((path) => !notes.has(basename(path)) && !except.has(path))
          .slice(0, most),
      ),
    note: (name, sha256) => Promise.resolve(void notes.set(name, sha256)),
  };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Segments that wait; the first is the one that is asked for. Those whose text begins with "bad" are refused. */
function wait(...texts: readonly string[]): string {
  names = texts.map((_, at) => `00000001${at.toString(16).toUpperCase().padStart(16, '0')}`);
  for (const [at, text] of texts.entries()) writeFileSync(join(folder, names[at]!), text);
  return join(folder, names[0]!);
}

const bad = new Set<string>();
function pipelineOf(sinks: Record<string, Sink>, optional: readonly string[] = []): Pipeline {
  const wal = {
    classify: (name: string) => ({ name, timeline: name.slice(0, 8) }),
    examine: (name: string) =>
      bad.has(name)
        ? Promise.reject(new PgsiloError('source.archive-invalid', `${name} is bad`))
        : Promise.resolve(),
    waiting: () => Promise.resolve(queue),
  };
  return fakePipeline({ ...fakeSource(), wal }, sinks, { optional, limits: { jobs: 4 } });
}
beforeEach(() => bad.clear());

type Other = WalPushed | { readonly name: string; readonly error: PgsiloError };
async function push(
  pipeline: Pipeline,
  path: string,
): Promise<{ readonly error?: PgsiloError; readonly others: Other[] }> {
  const others: Other[] = [];
  try {
    await pushWal(pipeline, path, { signal, place: 'here', onOther: (other) => others.push(other) });
    return { others };
  } catch (error) {
    return { error: error as PgsiloError, others };
  }
}

const namesIn = (sink: ReturnType<typeof memorySink>): string[] =>
  [...sink.objects.keys()].map((key) => key.slice(key.lastIndexOf('/') + 1, key.lastIndexOf('-'))).sort();

describe('push of what waits', () => {
  it('takes others along and notes the content of each, but not of the one that was asked for', async () => {
    const sinks = { a: memorySink(), b: memorySink() };
    const path = wait('one', 'two', 'three');
    const { error, others } = await push(pipelineOf(sinks), path);
    expect([error, others.length]).toEqual([undefined, 2]);
    for (const sink of Object.values(sinks)) expect(namesIn(sink)).toEqual(names);
    const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
    expect(Object.fromEntries(notes)).toEqual({ [names[1]!]: sha('two'), [names[2]!]: sha('three') });
  });

  it('notes nothing that one required sink lacks, and all that only an optional one does', async () => {
    const [good, poor] = [memorySink(), memorySink()];
    const path = wait('one', 'two', 'three');
    const put: Sink['put'] = async (key, ...rest) => {
      if (key.includes(names[1]!)) throw new PgsiloError('sink.full', 'no room');
      await sleep(20);
      const had = notes.size;
      const stored = await poor.put(key, ...rest);
      // What was noted meanwhile is none of the three: this sink was the last to have them.
      expect(had).toBe(0);
      return stored;
    };
    await push(pipelineOf({ good, poor: { ...poor, put } }), path);
    expect(notes.has(names[1]!)).toBe(false);
    await push(
      pipelineOf({ good, poor: { ...poor, put: () => Promise.reject(new PgsiloError('sink.full', 'no')) } }, [
        'poor',
      ]),
      path,
    );
    expect(notes.has(names[1]!)).toBe(true);
  });

  it('is not held up by files that are bad, the one that was asked for or others, however many', async () => {
    const sink = memorySink();
    const path = wait('one', ...Array.from({ length: 50 }, (_, at) => `of ${at}`));
    for (const name of names.slice(0, 45)) bad.add(name);
    const { error, others } = await push(pipelineOf({ sink }), path);
    expect(error).toMatchObject({ code: 'source.archive-invalid', message: `${names[0]} is bad` });
    expect(namesIn(sink)).toEqual(names.slice(45));
    expect(
      others
        .filter((other) => 'error' in other)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(names.slice(1, 45));

    // A conflict, too.
    sink.objects.set(`vigia/wal/00000001/${names[0]}-${'0'.repeat(16)}`, Buffer.from('another'));
    bad.clear();
    expect((await push(pipelineOf({ sink }), path)).error).toMatchObject({ code: 'wal.conflict' });
    // Six from before, and what lay there under the name that was asked for.
    expect(namesIn(sink)).toHaveLength(6 + 32 + 1);
  });

  it('begins no further ones when a sink does not take them', async () => {
    const path = wait('one', ...Array.from({ length: 20 }, (_, at) => `of ${at}`));
    let puts = 0;
    const put: Sink['put'] = async () => {
      puts += 1;
      await sleep(5);
      throw new PgsiloError('sink.denied', 'away');
    };
    const { error } = await push(pipelineOf({ sink: { ...memorySink(), put } }), path);
    expect(error).toMatchObject({ code: 'sink.denied' });
    expect(puts).toBe(4);
    expect(notes.size).toBe(0);
  });

  it('takes no more than 32 along, and no more than the jobs of the pipeline at once', async () => {
    const sink = memorySink();
    const path = wait('one', ...Array.from({ length: 40 }, (_, at) => `of ${at}`));
    let [now, most] = [0, 0];
    const put: Sink['put'] = async (...given) => {
      most = Math.max(most, ++now);
      await sleep(2);
      try {
        return await sink.put(...given);
      } finally {
        now -= 1;
      }
    };
    await push(pipelineOf({ sink: { ...sink, put } }), path);
    expect([namesIn(sink), most]).toEqual([names.slice(0, 33), 4]);
    await push(pipelineOf({ sink }), path);
    expect(namesIn(sink)).toEqual(names);
  });

  it('does its own work where nothing can be noted or looked up', async () => {
    const sink = memorySink();
    const path = wait('one', 'two');
    const away = (): Promise<never> => Promise.reject(new Error('EACCES'));
    queue = { ...queue, note: away };
    expect((await push(pipelineOf({ sink }), path)).error).toBeUndefined();
    expect(namesIn(sink)).toEqual(names);
    queue = { ...queue, next: away };
    expect((await push(pipelineOf({ sink }), path)).error).toBeUndefined();
  });
});
