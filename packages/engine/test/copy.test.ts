import { PgsiloError } from '@pgsilo/plugin';
import type { Sink } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { copyBackups } from '../src/copy.ts';
import { listBackups } from '../src/catalog.ts';
import { pinBackup } from '../src/pins.ts';
import type { Pipeline } from '../src/pipeline.ts';
import { backup } from '../src/run.ts';
import { fakePipeline, fakeSource, job } from './fakes.ts';
import { memorySink, type LoggedSink } from './memory-sink.ts';

const { signal } = new AbortController();

/** Two runs of three units in `near` alone. */
async function filled(
  far: Sink = memorySink(),
): Promise<{ near: LoggedSink; pipeline: Pipeline; runs: string[] }> {
  const near = memorySink();
  const source = fakeSource(job('a'), job('b'), job('c'));
  const runs: string[] = [];
  for (let run = 0; run < 2; run += 1)
    runs.push((await backup(fakePipeline(source, { near }), { signal })).run);
  return { near, pipeline: fakePipeline(source, { near, far }), runs };
}

const under = (sink: LoggedSink, part: string): string[] =>
  [...sink.objects.keys()].filter((key) => key.includes(part)).sort();

describe('copying', () => {
  it('fills a sink to the byte, notes before manifests, and copies nothing the second time', async () => {
    const far = memorySink();
    const { near, pipeline, runs } = await filled(far);
    await pinBackup(fakePipeline(fakeSource(), { near }), 'a', runs[0]!, { reason: 'audit', signal });
    const report = await copyBackups(pipeline, { from: 'near', to: 'far', signal });
    expect(report.backups.map(({ status }) => status)).toEqual(Array(6).fill('copied'));
    expect(report.backups.every(({ bytes, sentBytes }) => bytes > 0 && sentBytes === bytes)).toBe(true);
    for (const part of ['/units/', '/notes/']) {
      expect(under(far, part)).toEqual(under(near, part));
      for (const key of under(near, part)) expect(far.objects.get(key)).toEqual(near.objects.get(key));
    }
    const ofA = far.log.filter((line) => line.includes('/a/') && line.includes(runs[0]!));
    expect(ofA.at(-1)).toMatch(/manifest\.json$/);
    expect(ofA.some((line) => line.includes('/notes/'))).toBe(true);
    const puts = far.log.length;
    const again = await copyBackups(pipeline, { from: 'near', to: 'far', signal });
    expect(again).toEqual({ from: 'near', to: 'far', present: 6, backups: [] });
    expect(far.log).toHaveLength(puts);
    const entries = await Array.fromAsync(listBackups(pipeline, { signal }));
    expect(entries.map(({ missingFrom }) => missingFrom)).toEqual(Array.from({ length: 6 }, () => []));
  });

  it('takes up what was begun: what is there is hashed and not sent again', async () => {
    const far = memorySink();
    const { near, pipeline } = await filled(far);
    const [body] = under(near, 'database.dump');
    far.objects.set(body!, near.objects.get(body!)!);
    const report = await copyBackups(pipeline, { from: 'near', to: 'far', signal });
    expect(report.backups.filter(({ bytes, sentBytes }) => sentBytes < bytes)).toHaveLength(1);
    expect(far.log).not.toContain(`put ${body}`);
  });

  it.each([
    ['there', (far: LoggedSink, near: LoggedSink, key: string) => far.objects.set(key, altered(near, key))],
    [
      'in the sink that is read',
      (_far: LoggedSink, near: LoggedSink, key: string) => near.objects.set(key, altered(near, key)),
    ],
  ])('lists nothing whose body is another %s', async (_where, damage) => {
    const far = memorySink();
    const { near, pipeline } = await filled(far);
    const [key] = under(near, 'database.dump');
    damage(far, near, key!);
    const report = await copyBackups(pipeline, { from: 'near', to: 'far', signal });
    const failed = report.backups.filter(({ status }) => status === 'failed');
    expect(failed.map(({ error }) => error?.code)).toEqual(['sink.corrupt']);
    expect(report.backups.filter(({ status }) => status === 'copied')).toHaveLength(5);
    expect(under(far, 'manifest.json')).toHaveLength(5);
    expect(far.objects.has(key!.replace('database.dump', 'manifest.json'))).toBe(false);
  });

  it('copies only what was asked for, and says what it would copy', async () => {
    const far = memorySink();
    const { pipeline } = await filled(far);
    const dry = await copyBackups(pipeline, { from: 'near', to: 'far', units: ['b'], dryRun: true, signal });
    expect(dry.backups.map(({ unit, status }) => [unit, status])).toEqual([
      ['b', 'lacking'],
      ['b', 'lacking'],
    ]);
    expect(far.log).toEqual([]);
    const none = { from: 'near', to: 'far', since: new Date(Date.now() + 60_000), signal };
    expect(await copyBackups(pipeline, none)).toMatchObject({ present: 0, backups: [] });
    await expect(
      copyBackups(pipeline, { from: 'near', to: 'far', units: ['z'], signal }),
    ).rejects.toMatchObject({
      code: 'catalog.not-found',
    });
    await expect(copyBackups(pipeline, { from: 'near', to: 'near', signal })).rejects.toMatchObject({
      code: 'usage.invalid',
    });
  });

  it('leaves a marker while it works, so that nothing of it is taken for garbage', async () => {
    const inner = memorySink();
    let seen: string[] = [];
    const far: Sink = {
      ...inner,
      async put(key, ...rest) {
        if (key.includes('/units/')) seen = under(inner, '/runs/');
        return inner.put(key, ...rest);
      },
    };
    const { pipeline } = await filled(far);
    await copyBackups(pipeline, { from: 'near', to: 'far', signal });
    expect(seen).toHaveLength(1);
    expect(JSON.parse(String(inner.objects.get(seen[0]!))).units.toSorted()).toEqual(['a', 'b', 'c']);
    expect(under(inner, '/runs/')).toHaveLength(2);
  });

  it('tries again what failed for a moment', async () => {
    const inner = memorySink();
    let failures = 2;
    const far: Sink = {
      ...inner,
      async put(key, body, ...rest) {
        if (!key.includes('database.dump') || failures-- <= 0) return inner.put(key, body, ...rest);
        for await (const _ of body) break;
        throw new PgsiloError('sink.unreachable', 'reset');
      },
    };
    const { pipeline } = await filled(far);
    const report = await copyBackups(pipeline, { from: 'near', to: 'far', signal });
    expect(report.backups.map(({ status }) => status)).toEqual(Array(6).fill('copied'));
    expect(failures).toBeLessThan(0);
  });
});

function altered(sink: LoggedSink, key: string): Buffer {
  const bytes = Buffer.from(sink.objects.get(key)!);
  bytes[0]! ^= 1;
  return bytes;
}
