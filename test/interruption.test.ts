import { readFileSync } from 'node:fs';
import { glob, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsiloOk, startPgsilo, type CallOptions, type Running } from './services/pgsilo.ts';
import { processesWith } from './services/processes.ts';
import { startServer, until, type TestServer } from './services/server.ts';

describe('a run that is ended', () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  let uncounted: string;
  const open: { migration?: pg.Client; run?: Running } = {};

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 3));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    file = writePipeline(server, { source: '  fingerprint: content', more: 'scratch: ./scratch' });
    uncounted = writePipeline(server, {
      name: 'uncounted',
      source: '  fingerprint: none',
      more: 'scratch: ./scratch',
    });
  });
  afterEach(async () => {
    open.run?.kill('SIGKILL');
    await open.run?.result;
    await open.migration?.end().catch(() => undefined);
    delete open.run;
    delete open.migration;
  });
  afterAll(async () => server?.stop());

  /** A migration holds a table of globex: the backup's own session waits for it where contents are hashed, pg_dump where they are not. */
  const standStill = async (file: string): Promise<Running> => {
    const migration = await server.session('globex_db');
    open.migration = migration;
    await migration.query('BEGIN; LOCK TABLE app.orders IN ACCESS EXCLUSIVE MODE');
    const run = startPgsilo(['backup', file, '--json'], at);
    open.run = run;
    await until('the backup waits for the table', async () => {
      const rows = await server.query(
        'postgres',
        `SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'pgsilo%' AND wait_event_type = 'Lock' AND datname = 'globex_db'`,
      );
      return rows.length > 0;
    });
    return run;
  };

  const objects = async (pipeline = file): Promise<string[]> => {
    const found: string[] = [];
    for await (const entry of glob(`store/${pipeline.replace('.yaml', '')}/**`, {
      cwd: server.folder,
      withFileTypes: true,
    })) {
      if (entry.isFile()) found.push(join(entry.parentPath, entry.name));
    }
    return found.sort();
  };

  it.each([
    ['SIGINT', 'while it waits for a lock'],
    ['SIGTERM', 'while pg_dump runs'],
  ] as const)(
    'ends at %s %s with 130: nothing half-committed, nothing left running',
    async (signal, moment) => {
      const pipeline = moment === 'while pg_dump runs' ? uncounted : file;
      const run = await standStill(pipeline);
      await until('the other units are stored', async () => {
        const all = await objects(pipeline);
        return ['acme', 'initech'].every((unit) =>
          all.some((key) => key.includes(`/${unit}/`) && key.endsWith('/manifest.json')),
        );
      });
      const dumps = (await processesWith(`port='${server.port}'`)).filter(({ command }) =>
        command.includes('globex_db'),
      );
      expect(dumps).toHaveLength(pipeline === file ? 0 : 1);
      for (const { command } of dumps) expect(command).not.toContain(server.password);

      run.kill(signal);
      const result = await run.result;
      expect(result.exit).toBe(130);
      const { report } = result.json<any>()['runs'][0];
      expect(report.status).toBe('aborted');
      const stored = report.units.filter((unit: any) => unit.status === 'good').map((unit: any) => unit.unit);
      expect(stored).not.toContain('globex');

      // A server looks for its client every two seconds while it waits for a lock.
      await until(
        'no session of pgsilo is left',
        async () => (await server.sessionsOfPgsilo()).length === 0,
        4,
      );
      expect(await processesWith(`port='${server.port}'`)).toEqual([]);
      const left = (await objects(pipeline)).filter(
        (key) => key.includes(report.run) && key.includes('/units/'),
      );
      const units = new Set(left.map((key) => key.split('/units/')[1]!.split('/')[0]));
      expect(units).not.toContain('globex');
      for (const unit of units)
        expect(left.some((key) => key.includes(`/${unit}/`) && key.endsWith('/manifest.json'))).toBe(true);
      expect(await readdir(join(server.folder, 'scratch')).catch(() => [])).toEqual([]);
      expect(
        (await pgsiloOk(['verify', pipeline, '--level', 'decode', '--json'], at)).json<any>()['status'],
      ).toBe('ok');
    },
  );

  it('ends child and server session of a unit that takes longer than limits.jobTimeout; the others are kept', async () => {
    const limited = writePipeline(server, {
      name: 'limited',
      source: '  fingerprint: none',
      limits: ', jobTimeout: 2s, attempts: 1',
    });
    const run = await standStill(limited);
    const { exit, json } = await run.result;
    expect(exit).toBe(1);
    const { units } = json<any>()['runs'][0].report;
    const failed = units.filter((unit: any) => unit.status === 'failed');
    expect(failed).toMatchObject([{ unit: 'globex', error: { code: 'limit.timeout' } }]);
    expect(await processesWith(`port='${server.port}'`)).toEqual([]);
    // The migration still holds its lock: what is gone was ended, it did not finish.
    expect(await server.sessionsOfPgsilo()).toEqual([]);
    expect((await objects(limited)).filter((key) => key.includes('/units/globex/'))).toEqual([]);
  });

  it('is cleaned up after SIGKILL by the next run', async () => {
    const run = await standStill(file);
    const manifests = (await objects()).filter((key) => key.endsWith('manifest.json'));
    run.kill('SIGKILL');
    await run.result;
    await open.migration!.query('ROLLBACK');
    for (const path of manifests) expect(JSON.parse(readFileSync(path, 'utf8'))).toHaveProperty('checksum');
    await until(
      'the server has ended the sessions',
      async () => (await server.sessionsOfPgsilo()).length === 0,
    );
    await pgsiloOk(['backup', file], at);
    const all = await objects();
    const folders = new Set(
      all.filter((key) => key.includes('/units/')).map((key) => key.slice(0, key.lastIndexOf('/'))),
    );
    for (const folder of folders) expect(all).toContain(`${folder}/manifest.json`);
  });
});
