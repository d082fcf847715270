import { readFileSync, statSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf, settingsOf, textOf } from './services/equality.ts';
import { createFleet, oddTenant, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions, type Ended } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

const everyUnit = ['@globals', 'vigia_master', ...tenants.map(({ unit }) => unit)].sort();

describe('a fleet of tenant databases', () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  let first: Ended;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server);
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    file = writePipeline(server);
    first = await pgsiloOk(['backup', file, '--json'], at);
  });
  afterAll(async () => server?.stop());

  it('is found valid, healthy and planned before it is touched', async () => {
    expect((await pgsiloOk(['validate', file], at)).all).toContain(file);
    const doctor = await pgsiloOk(['doctor', file, '--json'], at);
    expect(doctor.json<any>()).toMatchObject({ status: 'ok' });
    const plan = (await pgsiloOk(['plan', file, '--json'], at)).json<any>();
    const planned = plan['jobs'].flatMap((job: any) => job.units.map((unit: any) => unit.unit));
    expect(planned.toSorted()).toEqual(everyUnit);
    expect(plan['missing']).toEqual([]);
  });

  it('is backed up by one command: tenants, registry and globals', () => {
    const [run] = first.json<any>()['runs'];
    expect(run).toMatchObject({ exit: 0, report: { status: 'ok' } });
    expect(run.report.units.map((unit: any) => unit.unit).toSorted()).toEqual(everyUnit);
    expect(run.report.units.every((unit: any) => unit.status === 'good' && unit.storedBytes > 0)).toBe(true);
  });

  it('is listed with labels, and shown with the commands to restore it by hand', async () => {
    const { backups } = (await pgsiloOk(['list', file, '--json'], at)).json<{ backups: any[] }>();
    expect(backups.map(({ unit }) => unit).toSorted()).toEqual(everyUnit);
    expect(backups.find(({ unit }) => unit === 'initech')).toMatchObject({
      status: 'good',
      unitLabels: { plan: 'demo' },
    });
    const shown = await pgsiloOk(['show', file, 'acme'], at);
    expect(shown.stdout).toContain('sha256sum -c');
    expect(shown.stdout).toMatch(/zstd -d.* < database\.dump\.zst \| pg_restore /);
  });

  it.each(['objects', 'decode'])('is verified at level %s', async (level) => {
    const report = (await pgsiloOk(['verify', file, '--level', level, '--json'], at)).json<any>();
    expect(report['status']).toBe('ok');
    expect(report['checked'].map((one: any) => one.unit).toSorted()).toEqual(everyUnit);
  });

  it('keeps its files to their owner', async () => {
    const modes = new Set<string>();
    for await (const entry of glob('store/**', { cwd: server.folder, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      modes.add(`${entry.isDirectory() ? 'folder' : 'file'} ${(statSync(path).mode & 0o777).toString(8)}`);
    }
    expect([...modes].sort()).toEqual(['file 600', 'folder 700']);
  });

  it.each(['acme', oddTenant.unit])('gives back tenant %j, equal to the last byte', async (unit) => {
    const database = tenants.find((tenant) => tenant.unit === unit)!.database;
    const restored = (await pgsiloOk(['restore', file, unit, '--json'], at)).json<any>();
    const target: string = restored['target'];
    expect(target).not.toBe(database);
    expect(await contentOf(server, target)).toEqual(await contentOf(server, database));
    expect(await textOf(server, target)).toBe(await textOf(server, database));
    expect(await settingsOf(server, target)).toEqual(await settingsOf(server, database));
  });

  it('shows odd names without letting them act on the terminal', async () => {
    const { stdout } = await pgsiloOk(['list', file], at);
    expect(stdout).toContain('Ødd');
    // Line ends and the table's own characters are all that is not printable.
    expect(stdout.match(/\p{Control}/gu)?.filter((character) => character !== '\n') ?? []).toEqual([]);
  });

  it('never shows the password, whatever is asked for', async () => {
    const calls = [
      ['doctor', file, '--log-level', 'debug'],
      ['plan', file, '--json'],
      ['backup', file, '--only', 'umbrella', '--log-level', 'debug', '--log-format', 'json'],
      ['show', file, 'umbrella', '--json'],
    ];
    for (const call of calls) expect((await pgsiloOk(call, at)).all).not.toContain(server.password);
    for await (const entry of glob('store/**/*.json', { cwd: server.folder })) {
      expect(readFileSync(join(server.folder, entry), 'utf8')).not.toContain(server.password);
    }
  });

  it('tells a wrong password in one clear message that holds no password', async () => {
    const url = server.url.replace(server.password, 'wrong-password-77');
    const env = { VIGIA_URL: url };
    const result = await pgsilo(['backup', file], { ...at, env });
    expect(result.exit).toBe(3);
    expect(result.stderr).toContain('source.denied');
    expect(result.all.match(/password authentication failed/g)).toHaveLength(1);
    const everything = [
      result,
      await pgsilo(['backup', file, '--json', '--log-level', 'debug'], { ...at, env }),
    ];
    for (const { all } of everything) {
      expect(all).not.toContain('wrong-password-77');
      expect(all).not.toContain(server.password);
    }
  });
});
