import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { onlyFor, standIns } from './services/client-programs.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { gateFor, makeLarge } from './services/gate.ts';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions, type Running } from './services/pgsilo.ts';
import { descendantsOf, isRunning } from './services/process-tree.ts';
import { startServer, until, type TestServer } from './services/server.ts';
import { listed, objectsOf } from './services/stored.ts';

describe('a client program that does not do its work', { timeout: 120_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let run: Running | undefined;
  let stopped: number | undefined;
  let pipelines = 0;
  const everything = ['@globals', 'acme', 'globex', 'vigia_master'];

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    await makeLarge(server, 'globex_db');
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
  });
  afterEach(async () => {
    if (stopped !== undefined && isRunning(stopped)) process.kill(stopped, 'SIGKILL');
    stopped = undefined;
    run?.kill('SIGKILL');
    await run?.result;
    run = undefined;
  });
  afterAll(async () => server?.stop());

  /** A pipeline with a store of its own. */
  const pipeline = (
    options: Partial<Parameters<typeof writePipeline>[1]>,
  ): { file: string; store: string } => {
    pipelines += 1;
    const name = `faults-${pipelines}`;
    const file = writePipeline(server, { name, limits: ', attempts: 1', ...options });
    return { file, store: join(server.folder, 'store', name) };
  };

  /** Only this unit failed; of it nothing is stored or listed, and the others are whole. */
  const expectOnly = async (unit: string, file: string, store: string, all: readonly any[]): Promise<any> => {
    const failed = all.filter(({ status }) => status !== 'good');
    expect(failed).toMatchObject([{ unit, status: 'failed' }]);
    expect(objectsOf(store, unit)).toEqual([]);
    const rest = everything.filter((each) => each !== unit);
    for (const other of rest) expect(objectsOf(store, other)).not.toEqual([]);
    expect(await listed(file, at)).toEqual(rest);
    const verified = (await pgsiloOk(['verify', file, '--level', 'decode', '--json'], at)).json<any>();
    expect(verified['checked'].map((each: any) => each.unit).sort()).toEqual(rest);
    expect(await server.sessionsOfPgsilo()).toEqual([]);
    return failed[0];
  };

  const dumpOf = async (database: string): Promise<number> => {
    const child = await until(`pg_dump of ${database} runs`, async () =>
      (await descendantsOf(run!.pid)).find(
        ({ command }) => command.includes('pg_dump') && command.includes(`dbname='${database}'`),
      ),
    );
    return child.pid;
  };

  it.each([
    ['SIGKILL', /pg_dump of database globex_db was ended by SIGKILL/],
    // pg_dump cancels its query and says so.
    ['SIGTERM', /pg_dump of database globex_db/],
  ] as const)(
    'fails its unit when %s ends pg_dump half-way; the rest is committed',
    async (signal, message) => {
      const gate = gateFor(server, 'globex', signal);
      const { file, store } = pipeline({ transform: gate.transform });
      run = startPgsilo(['backup', file, '--json'], at);
      await gate.held();
      process.kill(await dumpOf('globex_db'), signal);
      gate.open();
      const { exit, json } = await run.result;
      expect(exit).toBe(1);
      const { units } = json<any>()['runs'][0].report;
      const { error } = await expectOnly('globex', file, store, units);
      expect(error.code).toBe('source.incomplete');
      expect(error.message).toMatch(message);
    },
  );

  it('is tried again under a new id, and the second attempt is the only one that is listed', async () => {
    const gate = gateFor(server, 'globex', 'again');
    const { file, store } = pipeline({ transform: gate.transform, limits: ', attempts: 2' });
    run = startPgsilo(['backup', file, '--json'], at);
    await gate.held();
    process.kill(await dumpOf('globex_db'), 'SIGKILL');
    gate.open();
    const { exit, json } = await run.result;
    expect(exit).toBe(0);
    const { run: id, units } = json<any>()['runs'][0].report;
    const unit = units.find((each: any) => each.unit === 'globex');
    expect(unit).toMatchObject({ status: 'good', attempts: 2 });
    expect(unit.backup).not.toBe(id);
    const folders = new Set(objectsOf(store, 'globex').map((path) => path.split('/').at(-2)));
    expect([...folders]).toEqual([unit.backup]);
    await pgsiloOk(['verify', file, 'globex', '--level', 'decode'], at);
  });

  it.each([
    [
      'prints everything and exits 1',
      '"$REAL" "$@"; echo "disk on fire" >&2; exit 1',
      /status 1: disk on fire/,
    ],
    ['prints everything and is killed', '"$REAL" "$@"; kill -KILL $$', /SIGKILL/],
    [
      'prints a part and exits 0',
      '"$REAL" "$@" | head -c 300000; exit 0',
      /archive .* is cut: the data of entry/,
    ],
    ['prints nothing and exits 0', 'exit 0', /archive .* is empty/],
    [
      'prints what is no archive and exits 0',
      'echo "pg_dump: help yourself"; exit 0',
      /does not begin with PGDMP/,
    ],
  ])('fails its unit when pg_dump %s', async (_, script, message) => {
    const bin = standIns(server, { pg_dump: onlyFor('globex_db', script) });
    const { file, store } = pipeline({ source: `  bin: ${bin}` });
    const { exit, json } = await pgsilo(['backup', file, '--json'], at);
    expect(exit).toBe(1);
    const { error } = await expectOnly('globex', file, store, json<any>()['runs'][0].report.units);
    expect(error.message).toMatch(message);
  });

  it.each([
    ['exits 1', '"$REAL" "$@"; echo "disk on fire" >&2; exit 1', /disk on fire/],
    ['prints a part and exits 0', '"$REAL" "$@" | head -n 12; exit 0', /pg_dumpall/],
    ['prints nothing and exits 0', 'exit 0', /pg_dumpall/],
  ])('fails @globals when pg_dumpall %s', async (_, script, message) => {
    const bin = standIns(server, { pg_dumpall: script });
    const { file, store } = pipeline({ source: `  bin: ${bin}` });
    const { exit, json } = await pgsilo(['backup', file, '--json'], at);
    expect(exit).toBe(1);
    const { error } = await expectOnly('@globals', file, store, json<any>()['runs'][0].report.units);
    expect(error.message).toMatch(message);
  });

  it('ends one that stalls, and its server session, when limits.jobTimeout is over', async () => {
    const gate = gateFor(server, 'globex', 'stall');
    const { file, store } = pipeline({
      transform: gate.transform,
      limits: ', attempts: 1, jobTimeout: 10s',
    });
    run = startPgsilo(['backup', file, '--json'], at);
    await gate.held();
    stopped = await dumpOf('globex_db');
    // It hears no SIGTERM then, and its session stays in the middle of COPY.
    process.kill(stopped, 'SIGSTOP');
    gate.open();
    const { exit, json } = await run.result;
    expect(exit).toBe(1);
    const { error } = await expectOnly('globex', file, store, json<any>()['runs'][0].report.units);
    expect(error.code).toBe('limit.timeout');
    expect(isRunning(stopped)).toBe(false);
  });
});

describe('pg_restore that does not do its work', { timeout: 120_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let before: readonly string[];

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 1));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    await pgsiloOk(['backup', writePipeline(server)], at);
    before = await server.databases();
  });
  afterAll(async () => server?.stop());

  it.each([
    ['is killed half-way', '"$REAL" --schema-only "$@"; kill -KILL $$', 'restore.failed', /SIGKILL/],
    [
      'exits 1 after its work',
      '"$REAL" "$@"; echo "disk on fire" >&2; exit 1',
      'restore.failed',
      /disk on fire/,
    ],
    ['does nothing and exits 0', 'exit 0', 'restore.mismatch', /app/],
    ['restores a part and exits 0', '"$REAL" --schema-only "$@"; exit 0', 'restore.mismatch', /orders/],
  ])('leaves nothing when it %s', async (_, script, code, message) => {
    const file = writePipeline(server, {
      source: `  bin: ${standIns(server, { pg_restore: script })}`,
    });
    for (const how of [
      ['--to', 'copy'],
      ['--replace', '--yes'],
    ]) {
      const { exit, json, stderr } = await pgsilo(['restore', file, 'acme', ...how, '--json'], at);
      expect(exit).toBe(1);
      expect(json<any>()['error']).toMatchObject({ code, message: expect.stringMatching(message) });
      expect(stderr).toContain('Nothing of it was left behind');
      expect(await server.databases()).toEqual(before);
      expect(await server.sessionsOfPgsilo()).toEqual([]);
    }
  });
});
