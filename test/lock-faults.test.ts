import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { gateFor, makeLarge, type Gate } from './services/gate.ts';
import { pgsiloOk, startPgsilo, type CallOptions, type Running } from './services/pgsilo.ts';
import { startServer, until, type TestServer } from './services/server.ts';
import { filesIn, listed, objectsOf } from './services/stored.ts';

describe('the run lock', { timeout: 120_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let gate: Gate;
  let file: string;
  let store: string;
  let pipelines = 0;
  const started: Running[] = [];
  const others = ['@globals', 'acme', 'vigia_master'];

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    await makeLarge(server, 'globex_db');
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
  });
  afterEach(async () => {
    for (const run of started.splice(0)) {
      run.kill('SIGKILL');
      await run.result;
    }
  });
  afterAll(async () => server?.stop());

  const start = (...more: readonly string[]): Running => {
    const run = startPgsilo(['backup', file, '--json', ...more], at);
    started.push(run);
    return run;
  };

  /** A pipeline of its own, and a run of it that stands still in the dump of globex. */
  const held = async (...more: readonly string[]): Promise<Running> => {
    pipelines += 1;
    const name = `locked-${pipelines}`;
    gate = gateFor(server, 'globex', name);
    file = writePipeline(server, { name, transform: gate.transform });
    store = join(server.folder, 'store', name);
    const run = start(...more);
    await gate.held();
    return run;
  };

  const endLockSession = async (): Promise<void> => {
    const ended = await server.query(
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgsilo lock %'`,
    );
    expect(ended).toHaveLength(1);
  };

  const runsIn = (): string[] => filesIn(store).filter((path) => path.includes('/runs/'));

  it('keeps a second run out with 3, which says who runs since when', async () => {
    const before = Date.now();
    const first = await held();
    const other = startPgsilo(['backup', file], at);
    started.push(other);
    const second = await other.result;
    expect(second.exit).toBe(3);
    expect(second.stderr).toContain('run.locked');
    expect(second.stderr).toContain(`pid ${first.pid} on`);
    const since = /since (\d{4}-\d\d-\d\dT[\d:.]+Z)/.exec(second.stderr)?.[1];
    expect(new Date(since!).getTime()).toBeGreaterThan(before - 1000);
    expect(new Date(since!).getTime()).toBeLessThan(Date.now() + 1000);
    expect(second.stderr).toContain('--wait');
    expect(runsIn()).toHaveLength(1);
    gate.open();
    expect((await first.result).exit).toBe(0);
  });

  it('lets one of two that start at the same time in', async () => {
    await held().then((run) => {
      run.kill('SIGKILL');
      return run.result;
    });
    gate.close();
    await until('the lock is free', async () => (await server.sessionsOfPgsilo()).length === 0, 60);
    const before = runsIn().length;
    const both = [start(), start()];
    const loser = await Promise.race(
      both.map(async (run) => ((await run.result).exit === 3 ? run : Promise.reject(run))),
    );
    expect((await loser.result).json<any>()['runs'][0].error.code).toBe('run.locked');
    await gate.held();
    gate.open();
    const winner = both.find((run) => run !== loser)!;
    expect((await winner.result).exit).toBe(0);
    const begun = runsIn().filter((path) => path.endsWith('.begin.json')).length;
    // The killed run's marker and the winner's.
    expect(begun).toBe(before + 1);
  });

  it('is waited for with --wait', async () => {
    const first = await held();
    const second = start('--wait', '60s', '--only', 'acme');
    await until('the second run says that it waits', () => second.said().includes('waiting for another run'));
    gate.open();
    expect((await first.result).exit).toBe(0);
    const { exit, json } = await second.result;
    expect(exit).toBe(0);
    expect(json<any>()['runs'][0].report.status).toBe('ok');
  });

  it('ends the run when its session is lost: what was committed stays, nothing else is left, and the next run can start', async () => {
    const run = await held();
    await until(
      'the other units are committed',
      () => others.every((unit) => objectsOf(store, unit).some((path) => path.endsWith('/manifest.json'))),
      60,
    );
    await endLockSession();
    // The gate is still shut: the run ends by itself.
    const { exit, json, stderr } = await run.result;
    expect(exit).toBe(1);
    const { report } = json<any>()['runs'][0];
    expect(report).toMatchObject({ status: 'partial', error: { code: 'run.lock-lost' } });
    expect(report.units.filter((unit: any) => unit.status === 'failed')).toMatchObject([
      { unit: 'globex', error: { code: 'run.lock-lost' } },
    ]);
    expect(`${report.error.message}${stderr}`).toMatch(/session that held the run lock ended/);
    expect(objectsOf(store, 'globex')).toEqual([]);
    expect(await listed(file, at)).toEqual(others);
    expect(await server.sessionsOfPgsilo()).toEqual([]);
    await pgsiloOk(['verify', file, '--level', 'decode'], at);

    gate.open();
    await pgsiloOk(['backup', file], at);
    expect(await listed(file, at)).toEqual([...others.slice(0, 2), 'globex', ...others.slice(2)]);
  });

  it('ends the run with 3 when it is lost before anything was committed, and says so to people too', async () => {
    pipelines += 1;
    const name = `locked-${pipelines}`;
    gate = gateFor(server, 'globex', name);
    file = writePipeline(server, { name, transform: gate.transform });
    store = join(server.folder, 'store', name);
    const run = startPgsilo(['backup', file, '--only', 'globex'], at);
    started.push(run);
    await gate.held();
    await endLockSession();
    const { exit, all } = await run.result;
    expect(exit).toBe(3);
    expect(all.match(/run\.lock-lost/g)).toHaveLength(1);
    expect(objectsOf(store, 'globex')).toEqual([]);
    expect(await listed(file, at)).toEqual([]);
  });
});
