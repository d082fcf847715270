import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

describe('choosing what to back up', () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 4));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    file = writePipeline(server);
  });
  afterAll(async () => server?.stop());

  const unitsOf = async (parameters: string[]): Promise<string[]> => {
    const document = (await pgsiloOk(['backup', file, '--json', ...parameters], at)).json<any>();
    return document['runs'][0].report.units.map((unit: any) => unit.unit).toSorted();
  };

  it('takes single units with --only and labels with --where', async () => {
    expect(await unitsOf(['--only', 'globex', '--only', '@globals'])).toEqual(['@globals', 'globex']);
    expect(await unitsOf(['--where', 'plan=demo'])).toEqual(['initech', 'umbrella']);
  });

  it.each([
    ['--only', 'acmee'],
    ['--where', 'plan=demmo'],
  ])('refuses %s %s, which selects nothing', async (...choice) => {
    const result = await pgsilo(['backup', file, ...choice], at);
    expect(result.exit).toBe(2);
    expect(result.stderr).toContain(choice[1]);
  });

  it('labels and pins a backup before a deployment', async () => {
    const flags = ['--only', 'acme', '--label', 'release=2.4.0', '--pin', 'before 2.4.0'];
    const document = (await pgsiloOk(['backup', file, '--json', ...flags], at)).json<any>();
    const id: string = document['runs'][0].report.units[0].backup;
    const [newest] = (await pgsiloOk(['list', file, 'acme', '--json'], at)).json<any>()['backups'];
    expect(newest).toMatchObject({
      backup: id,
      labels: { release: '2.4.0' },
      pin: { reason: 'before 2.4.0' },
    });
    await pgsiloOk(['unpin', file, 'acme', id], at);
    const [unpinned] = (await pgsiloOk(['list', file, 'acme', '--json'], at)).json<any>()['backups'];
    expect(unpinned).not.toHaveProperty('pin');
  });

  it('reports a registered database that does not exist, and commits the others', async () => {
    await server.query('vigia_master', `INSERT INTO clientes_saas VALUES ('gone_db', 'gone', 'demo')`);
    try {
      const plan = await pgsilo(['plan', file, '--json'], at);
      expect(plan.exit).toBe(1);
      expect(plan.json<any>()['missing']).toMatchObject([
        { unit: 'gone', error: { code: 'source.unit-missing' } },
      ]);
      const run = await pgsilo(['backup', file, '--json', '--where', 'plan=demo'], at);
      expect(run.exit).toBe(1);
      const units = run.json<any>()['runs'][0].report.units;
      expect(units.find((unit: any) => unit.unit === 'gone')).toMatchObject({
        status: 'failed',
        error: { code: 'source.unit-missing' },
      });
      const others = units
        .filter((unit: any) => unit.unit !== 'gone')
        .map((unit: any) => [unit.unit, unit.status]);
      expect(others.toSorted()).toEqual([
        ['initech', 'good'],
        ['umbrella', 'good'],
      ]);
    } finally {
      await server.query('vigia_master', `DELETE FROM clientes_saas WHERE subdominio = 'gone'`);
    }
  });

  it('warns in the plan of a database that the registry does not know', async () => {
    await server.query('postgres', 'CREATE DATABASE forgotten');
    try {
      const plan = (await pgsiloOk(['plan', file, '--json'], at)).json<any>();
      expect(plan['warnings'].join('\n')).toMatch(/not backed up: .*forgotten/);
    } finally {
      await server.query('postgres', 'DROP DATABASE forgotten');
    }
  });

  it('says nothing with --quiet --log-level error when all is well, and what is wrong when not', async () => {
    const quiet = ['--quiet', '--log-level', 'error'];
    expect((await pgsiloOk(['backup', file, '--only', 'globex', ...quiet], at)).all.trim()).toBe('');
    expect((await pgsiloOk(['verify', file, 'globex', ...quiet], at)).all.trim()).toBe('');
    const unreachable = { ...at, env: { VIGIA_URL: 'postgresql://nobody@127.0.0.1:1/postgres' } };
    const failed = await pgsilo(['backup', file, ...quiet], unreachable);
    expect(failed.exit).toBe(3);
    expect(failed.stderr).toContain('source.unreachable');
  });

  it('refuses an empty registry rather than backing up nothing', async () => {
    await server.query('vigia_master', 'UPDATE clientes_saas SET is_active = false');
    try {
      const result = await pgsilo(['backup', file], at);
      expect(result.exit).toBe(3);
      expect(result.stderr).toContain('source.plan-invalid');
    } finally {
      await server.query('vigia_master', 'UPDATE clientes_saas SET is_active = true');
    }
  });
});
