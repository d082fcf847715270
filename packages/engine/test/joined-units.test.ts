import { PgsiloError } from '@pgsilo/plugin';
import type { JoinedRecovery, Sink } from '@pgsilo/plugin';
import { beforeEach, describe, expect, it } from 'vitest';
import { drill } from '../src/drill.ts';
import { exitOfAll, planRestoreAll, restoreAll } from '../src/restore-all.ts';
import type { RestoreAllOptions } from '../src/restore-all.ts';
import { backup } from '../src/run.ts';
import { withScratch } from './fake-scratch.ts';
import { fakePipeline, fakeSource, job } from './fakes.ts';
import type { FakeSource } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const names = ['all', 'a', 'b', 'c'];
const signal = new AbortController().signal;

describe('units that make up one database', () => {
  let source: FakeSource;
  let pipeline: ReturnType<typeof fakePipeline>;
  let log: string[];
  let lists: string[];
  /** Units that fail at their first turn, and what units lack at the end. */
  let failsOnce: Set<string>;
  let lacking: Map<string, readonly string[]>;

  const options: RestoreAllOptions = { toServer: 'host=new', jobs: 1, owner: true, signal };

  beforeEach(async () => {
    [log, lists, failsOnce, lacking] = [[], [], new Set(), new Map()];
    source = fakeSource(...names.map((name) => job(name)));
    const plain = memorySink();
    const sink: Sink = {
      ...plain,
      list: (prefix, context) => {
        lists.push(prefix);
        return plain.list(prefix, context);
      },
    };
    pipeline = fakePipeline(source, { sink });
    await backup(pipeline, { signal });
    const made = new Map<string, string>();
    const joined: JoinedRecovery = {
      stages: (backups) => {
        const of = (name: string) => backups.filter(({ unit }) => unit.name === name);
        // b and c make a circle: each is named twice.
        return [of('all'), of('a'), of('b'), of('c'), of('b'), of('c')].filter((stage) => stage.length > 0);
      },
      foresee: async (backups) => [`looked at ${backups.map(({ unit }) => unit.name).join(' ')}`],
      restore: async ({ backup: view, to, replace }) => ({
        plan: [],
        async run() {
          const { name } = view.unit;
          log.push(`${name} into ${to}`);
          if (replace || failsOnce.delete(name)) throw new PgsiloError('restore.failed', `${name} needs c`);
          made.set(name, view.id);
          return { target: to!, compared: '1 table', warnings: [], next: [] };
        },
        close: async () => undefined,
      }),
      unfinished: async (database) => {
        log.push(`unfinished of ${database}`);
        return [...lacking.keys()]
          .filter((unit) => made.has(unit))
          .map((unit) => ({ unit, backup: made.get(unit)! }));
      },
      finish: async ({ backup: view, to }, last) => {
        log.push(`finish ${view.unit.name} in ${to}${last ? ', last' : ''}`);
        const lacks = lacking.get(view.unit.name)!;
        if (lacks.length === 0) lacking.delete(view.unit.name);
        return { lacks, warnings: last ? ['settings refused'] : [] };
      },
    };
    source.restore = () => Promise.reject(new PgsiloError('internal', 'restored by itself'));
    source.recovery = () => ({
      first: [{ unit: 'all', to: 'app' }],
      others: async () => ['a', 'b', 'c', 'ghost'].map((unit) => ({ unit, to: 'app' })),
      joined,
    });
  });

  it('are restored in the order that they need, and tried again only where they failed', async () => {
    failsOnce.add('b');
    lists = [];
    const report = await restoreAll(pipeline, options);
    expect(log).toEqual([
      'all into app',
      'unfinished of app',
      'a into app',
      'b into app',
      'c into app',
      'b into app',
      'unfinished of app',
      'unfinished of app',
    ]);
    expect(Object.fromEntries(report.units.map(({ unit, status }) => [unit, status]))).toEqual({
      ...Object.fromEntries(names.map((name) => [name, 'restored'])),
      ghost: 'missing',
    });
    expect([report.status, exitOfAll(report)]).toEqual(['partial', 1]);
    // What is there is listed once before and once behind the registry, however many units there are.
    expect(lists.filter((prefix) => prefix.includes('/units/'))).toHaveLength(2);
  });

  it('fail by what they lack in the end, with all of it named', async () => {
    lacking.set('a', ['key x: no schema b', 'view y: no schema b']).set('all', []);
    const { units, status } = await restoreAll(pipeline, options);
    expect(log.filter((line) => line.startsWith('finish'))).toEqual([
      'finish all in app',
      // As long as something more could be made, and then for the last time.
      'finish a in app',
      'finish a in app',
      'finish a in app, last',
    ]);
    expect(status).toBe('partial');
    expect(units.find(({ unit }) => unit === 'a')).toMatchObject({
      status: 'failed',
      warnings: ['settings refused'],
      error: {
        code: 'restore.failed',
        message: '"a" is there, but this could not be made:\n- key x: no schema b\n- view y: no schema b',
      },
    });
  });

  it('are planned with what the source foresees, unless nobody asks for owners', async () => {
    expect(await planRestoreAll(pipeline, options)).toMatchObject({
      first: ['all'],
      joined: true,
      warnings: [expect.stringMatching(/^looked at (?=.*all)(?=.*\bc\b)/)],
    });
    expect(await planRestoreAll(pipeline, { ...options, owner: false })).toMatchObject({ warnings: [] });
  });

  it('are drilled as they are restored: one copy of the database, and who lacks something has failed', async () => {
    const scratch = withScratch(source);
    failsOnce.add('b');
    lacking.set('a', ['key x: no schema b']);
    const { units, status } = await drill(pipeline, { signal });
    expect(log.filter((line) => !line.startsWith('finish'))).toEqual([
      'all into joint',
      'a into joint',
      'b into joint',
      'c into joint',
      'b into joint',
      ...Array(3).fill('unfinished of joint'),
    ]);
    expect(scratch.log.filter((line) => line.startsWith('examine'))).toEqual(Array(3).fill('examine joint'));
    expect(Object.fromEntries(units.map((unit) => [unit.unit, unit.error?.message ?? unit.status]))).toEqual({
      all: 'ok',
      a: 'it came back, but this could not be made:\n- key x: no schema b',
      b: 'ok',
      c: 'ok',
    });
    expect(status).toBe('failed');
  });
});
