import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ownIdentity } from '@pgsilo/plugin/process-identity';
import { backup } from '../src/run.ts';
import { writeRunBegin } from '../src/run-records.ts';
import { fakePipeline, fakeSource, job } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const { signal } = new AbortController();
const run = '20260101T000000Z-aaaaaa';
const orphan = `vigia/units/acme/${run}.2/database.dump`;

/** A sink as a run leaves it that was killed after it had committed one unit and begun another. */
async function killedRun(identity: string, startedAt = new Date()) {
  const sink = memorySink();
  const pipeline = fakePipeline(fakeSource(job('acme')), { sink });
  const first = await backup(pipeline, { signal });
  sink.objects.set(
    `vigia/runs/${run}.begin.json`,
    Buffer.from(
      writeRunBegin({
        run,
        pipeline: 'vigia',
        startedAt: startedAt.toISOString(),
        process: { host: 'db1', pid: 1, identity },
        units: ['acme', 'globex'],
      }),
    ),
  );
  sink.objects.set(orphan, Buffer.from('half'));
  sink.objects.set(`vigia/units/globex/${run}/database.dump`, Buffer.from('whole'));
  sink.objects.set(`vigia/units/globex/${run}/manifest.json`, Buffer.from('committed'));
  return { sink, pipeline, kept: `vigia/units/acme/${first.run}/manifest.json` };
}

const [space] = ownIdentity().split('-');
const gone = `${space}-${spawnSync('true').pid}-1`;

describe('what a killed run left', () => {
  it.each([
    ['whose process is gone', gone],
    ['whose process number was given to another', `${space}-${process.pid}-1`],
  ])('is removed by the next run %s, committed backups are not', async (_why, identity) => {
    const { sink, pipeline, kept } = await killedRun(identity);
    await backup(pipeline, { signal });
    expect(sink.objects.has(orphan)).toBe(false);
    expect(sink.objects.has(`vigia/units/globex/${run}/database.dump`)).toBe(true);
    expect(sink.objects.has(kept)).toBe(true);
    expect(sink.objects.has(`vigia/runs/${run}.json`)).toBe(true);
  });

  it.each([
    ['its process lives', ownIdentity()],
    ['it ran on another machine', `0123456789abcdef-${process.pid}-1`],
  ])('stays while %s', async (_why, identity) => {
    const { sink, pipeline } = await killedRun(identity);
    await backup(pipeline, { signal });
    expect(sink.objects.has(orphan)).toBe(true);
  });

  it('is removed after seven days wherever it ran', async () => {
    const { sink, pipeline } = await killedRun(
      `0123456789abcdef-${process.pid}-1`,
      new Date(Date.now() - 8 * 86_400_000),
    );
    await backup(pipeline, { signal });
    expect(sink.objects.has(orphan)).toBe(false);
  });

  it('is removed also when the marker of another run cannot be read, whose own objects stay', async () => {
    const { sink, pipeline } = await killedRun(gone);
    const earlier = '20250101T000000Z-bbbbbb';
    const marker = Buffer.from(
      sink.objects.get(`vigia/runs/${run}.begin.json`)!.toString().replace('acme', 'amce'),
    );
    sink.objects.set(`vigia/runs/${earlier}.begin.json`, marker);
    sink.objects.set(`vigia/units/acme/${earlier}/database.dump`, Buffer.from('whose?'));
    await backup(pipeline, { signal });
    expect(sink.objects.has(orphan)).toBe(false);
    expect(sink.objects.has(`vigia/units/acme/${earlier}/database.dump`)).toBe(true);
    expect(sink.objects.has(`vigia/runs/${earlier}.json`)).toBe(false);
  });
});
