import { describe, expect, it } from 'vitest';
import { PgsiloError } from '@pgsilo/plugin';
import { listBackups } from '../src/catalog.ts';
import { copyBackups } from '../src/copy.ts';
import type { Pipeline } from '../src/pipeline.ts';
import { backup } from '../src/run.ts';
import type { RunReport } from '../src/run-records.ts';
import { facts, fakePipeline, fakeSource, goodRead, job } from './fakes.ts';
import type { FakeSource } from './fakes.ts';
import { memorySink } from './memory-sink.ts';
import type { LoggedSink } from './memory-sink.ts';

const { signal } = new AbortController();

interface Fixture {
  readonly source: FakeSource;
  readonly all: LoggedSink;
  readonly some: LoggedSink;
  at(moment: string): Pipeline;
}

/** One sink that takes all and one that takes the first backup of each month, as a zone ahead of UTC has months. */
function fixture(): Fixture {
  const [all, some] = [memorySink(), memorySink()];
  const source = fakeSource(job('a'), job('b'));
  return {
    source,
    all,
    some,
    at(moment) {
      const pipeline = fakePipeline(source, { all, some });
      const [first, second] = pipeline.sinks;
      return {
        ...pipeline,
        sinks: [first!, { ...second!, accept: { periods: ['monthly'], timezone: '+02:00' } }],
        clock: { ...pipeline.clock, now: () => new Date(moment) },
      };
    },
  };
}

const statuses = ({ units }: RunReport): unknown =>
  Object.fromEntries(units.map(({ unit, sinks }) => [unit, sinks.map(({ status }) => status).join(' ')]));

async function held(sink: LoggedSink): Promise<readonly string[]> {
  return [...sink.objects.keys()].filter((key) => key.endsWith('manifest.json')).sort();
}

describe('a sink that accepts one backup a month', () => {
  it('gets the first of each month of its time zone, and the run is whole without it', async () => {
    const { at, some } = fixture();
    const moments = ['2026-03-31T21:59:00Z', '2026-03-31T22:00:00Z', '2026-04-29T02:00:00Z'];
    const reports: RunReport[] = [];
    for (const moment of moments) reports.push(await backup(at(moment), { signal }));
    expect(reports.map(statuses)).toEqual([
      { a: 'stored stored', b: 'stored stored' },
      { a: 'stored stored', b: 'stored stored' },
      { a: 'stored not-due', b: 'stored not-due' },
    ]);
    expect(reports.map(({ status, warnings }) => [status, warnings])).toEqual([
      ['ok', []],
      ['ok', []],
      ['ok', []],
    ]);
    expect(await held(some)).toHaveLength(4);
    const entries = await Array.fromAsync(listBackups(at(moments[2]!), { signal }));
    expect(entries.flatMap(({ missingFrom }) => missingFrom)).toEqual([]);
  });

  it('gets a unit that failed at the first run of the month with the next one', async () => {
    const { at, source } = fixture();
    source.readWith = (given) => {
      if (given.id === 'db a') throw new PgsiloError('source.incomplete', 'gone');
      return goodRead(given);
    };
    await backup(at('2026-04-02T00:00:00Z'), { signal });
    source.readWith = (given) => goodRead(given);
    const second = await backup(at('2026-04-03T00:00:00Z'), { signal });
    expect(statuses(second)).toEqual({ a: 'stored stored', b: 'stored not-due' });
  });

  it('does not count a damaged backup, nor one whose manifest cannot be read', async () => {
    const { at, source, some } = fixture();
    source.readWith = async function* (given) {
      for await (const item of goodRead(given))
        yield item.type === 'facts' && item.unit === 'a'
          ? { ...item, facts: { ...facts, status: 'damaged' } }
          : item;
    };
    await backup(at('2026-04-02T00:00:00Z'), { signal });
    const ofB = (await held(some)).find((key) => key.includes('/b/'))!;
    some.objects.set(ofB, Buffer.from('{}'));
    source.readWith = (given) => goodRead(given);
    const second = await backup(at('2026-04-03T00:00:00Z'), { signal });
    expect(statuses(second)).toEqual({ a: 'stored stored', b: 'stored stored' });
  });

  it('takes no part in a run when it cannot be listed', async () => {
    const { at, some } = fixture();
    const list = some.list.bind(some);
    some.list = (prefix, context) => {
      if (prefix.includes('/units/')) throw new PgsiloError('sink.denied', 'no listing');
      return list(prefix, context);
    };
    const report = await backup(at('2026-04-02T00:00:00Z'), { signal });
    expect(report.status).toBe('partial');
    expect(statuses(report)).toEqual({ a: 'stored skipped', b: 'stored skipped' });
  });

  it('is filled by a copy with the first of each month alone', async () => {
    const { at, all, some, source } = fixture();
    const alone = (moment: string): Pipeline => {
      const pipeline = at(moment);
      return { ...pipeline, sinks: [pipeline.sinks[0]!] };
    };
    const [first] = [await backup(alone('2026-03-02T00:00:00Z'), { signal })];
    await backup(alone('2026-03-03T00:00:00Z'), { signal });
    const third = await backup(alone('2026-04-03T00:00:00Z'), { signal });
    source.jobs = [job('a')];
    await backup(alone('2026-04-04T00:00:00Z'), { signal });
    expect(await held(all)).toHaveLength(7);
    const report = await copyBackups(at('2026-04-05T00:00:00Z'), { from: 'all', to: 'some', signal });
    expect(report.backups.map(({ unit, backup, status }) => [unit, backup, status]).sort()).toEqual(
      [first!, third].flatMap(({ run }) => ['a', 'b'].map((unit) => [unit, run, 'copied'])).sort(),
    );
    const again = await copyBackups(at('2026-04-05T00:00:00Z'), { from: 'all', to: 'some', signal });
    expect(again.backups).toEqual([]);
    expect(await held(some)).toHaveLength(4);
  });
});
