import { setTimeout as delay } from 'node:timers/promises';
import { PgsiloError } from '@pgsilo/plugin';
import type { Recovery } from '@pgsilo/plugin';
import { beforeEach, describe, expect, it } from 'vitest';
import { exitOfAll, restoreAll } from '../src/restore-all.ts';
import type { RestoreAllOptions } from '../src/restore-all.ts';
import { backup } from '../src/run.ts';
import { fakePipeline, fakeSource, job } from './fakes.ts';
import type { FakeSource } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const names = ['a', 'b', 'c', 'd', 'e'];

describe('a restore of everything', () => {
  let source: FakeSource;
  let pipeline: ReturnType<typeof fakePipeline>;
  /** Databases on the other server, and how many are being made at once at most. */
  let there: Set<string>;
  let widest: number;
  let broken: string | undefined;
  let controller: AbortController;

  const options = (): RestoreAllOptions => ({
    toServer: 'host=new',
    jobs: 1,
    owner: true,
    signal: controller.signal,
  });

  beforeEach(async () => {
    [there, widest, broken, controller] = [new Set(), 0, undefined, new AbortController()];
    source = fakeSource(...names.map((name) => job(name)));
    pipeline = fakePipeline(source, { sink: memorySink() });
    await backup(pipeline, { signal: controller.signal });
    let running = 0;
    source.restore = async ({ to = '', toServer, replace }) => {
      if (there.has(to)) throw new PgsiloError('restore.target-exists', `${to} is there`);
      return {
        plan: [`make ${to}`],
        async run() {
          if (toServer !== 'host=new' || replace) throw new PgsiloError('internal', 'not what was asked for');
          widest = Math.max(widest, ++running);
          await delay(10);
          running -= 1;
          if (to === broken) throw new PgsiloError('restore.failed', 'no');
          there.add(to);
          return { target: to, compared: '1 table', warnings: [], next: [] };
        },
        close: async () => undefined,
      };
    };
    source.compare = async ({ name }) => ({
      compared: '1 table',
      differences: name === 'c' ? ['table t: 1 row'] : [],
    });
    recover({});
  });

  function recover(more: Partial<Recovery>): void {
    const others = async () => ['b', 'c', 'd', 'e'].map((unit) => ({ unit, to: unit }));
    source.recovery = () => ({ first: [{ unit: 'a', to: 'a' }], others, ...more });
  }
  const run = async (): Promise<Record<string, string>> =>
    Object.fromEntries(
      (await restoreAll(pipeline, options())).units.map(({ unit, status }) => [unit, status]),
    );

  it('restores the first one by one, then the others, no more at once than limits.jobs', async () => {
    const report = await restoreAll(pipeline, options());
    expect(report).toMatchObject({ status: 'ok' });
    expect(exitOfAll(report)).toBe(0);
    expect(report.units[0]!.unit).toBe('a');
    expect([...there].sort()).toEqual(names);
    expect(widest).toBe(2);
  });

  it('goes on: what is there and equal is left, what differs is named', async () => {
    broken = 'd';
    expect(await run()).toMatchObject({ a: 'restored', c: 'restored', d: 'failed', e: 'restored' });
    broken = undefined;
    expect(await run()).toEqual({ a: 'present', b: 'present', c: 'failed', d: 'restored', e: 'present' });
  });

  it('takes nothing for whole that cannot be compared', async () => {
    there.add('b');
    source.compare = () =>
      Promise.reject(new PgsiloError('restore.refused', 'the backup has no fingerprint'));
    const { units } = await restoreAll(pipeline, options());
    expect(units.find(({ unit }) => unit === 'b')).toMatchObject({
      status: 'failed',
      error: {
        code: 'restore.target-exists',
        message: 'b is there, and the backup has no fingerprint; it was left as it is',
      },
    });
  });

  it('tells of what stops all of it, and that it is because of the registry', async () => {
    broken = 'a';
    recover({ others: () => Promise.reject(new PgsiloError('source.plan-invalid', 'no table tenants')) });
    const report = await restoreAll(pipeline, options());
    expect(report).toMatchObject({ status: 'failed', error: { code: 'source.plan-invalid' } });
    expect(report.error?.message).toBe(
      'which units there are is not known, because "a" was not restored: no table tenants',
    );
    expect(exitOfAll(report)).toBe(3);
  });

  it('knows the units of the newest run, that of a selection aside', async () => {
    await backup(pipeline, { only: ['a'], signal: controller.signal });
    let known: readonly string[] = [];
    recover({
      others: async (ask) => {
        known = await ask();
        return [];
      },
    });
    await run();
    expect(known).toEqual(names);
  });

  it('names a unit without a backup, and those that were not begun when it was interrupted', async () => {
    recover({
      others: async () => {
        queueMicrotask(() => controller.abort(new PgsiloError('aborted', 'interrupted by SIGINT')));
        return [{ unit: 'x', to: 'x' }, ...names.map((unit) => ({ unit, to: unit }))];
      },
    });
    const report = await restoreAll(pipeline, options());
    expect(report).toMatchObject({ status: 'aborted', error: { code: 'aborted' } });
    expect(report.units.filter(({ status }) => status === 'not-begun').length).toBeGreaterThan(2);
    expect(there).toEqual(new Set(['a']));
    [controller] = [new AbortController()];
    recover({ others: async () => [{ unit: 'x', to: 'x' }] });
    expect(await run()).toEqual({ a: 'present', x: 'missing' });
  });

  it('is refused where the source cannot, with what to do instead', async () => {
    delete source.recovery;
    await expect(restoreAll(pipeline, options())).rejects.toMatchObject({
      code: 'restore.refused',
      hint: expect.stringContaining('one by one'),
    });
  });
});
