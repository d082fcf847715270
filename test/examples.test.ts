import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf } from './services/equality.ts';
import { createFleet, tenants } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';
import { runWorkflow } from './services/workflow.ts';

const examples = join(import.meta.dirname, '..', 'examples');

describe('every pipeline file of the examples', () => {
  it('names a schema that is there, for completion in editors', async () => {
    let count = 0;
    for await (const name of glob('*/*.yaml', { cwd: examples })) {
      const file = join(examples, name);
      const [, schema] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(readFileSync(file, 'utf8')) ?? [];
      const found = schema !== undefined && existsSync(resolve(dirname(file), schema));
      expect({ name, found }).toEqual({ name, found: true });
      count += 1;
    }
    expect(count).toBeGreaterThanOrEqual(6);
  });
});

describe('examples/database-per-tenant', () => {
  const folder = join(examples, 'database-per-tenant');
  const classes: Record<string, string[]> = {
    master: ['@globals', 'sul', 'vigia_master'],
    active: ['acme', 'globex', 'vigia_master'],
    demo: ['trial-1', 'trial-2', 'vigia_master'],
    legacy: ['velha', 'vigia_master'],
  };
  const files = Object.keys(classes).map((name) => join(folder, `${name}.yaml`));
  let server: TestServer;
  let at: CallOptions;

  beforeAll(async () => {
    server = await startServer();
    await server.query('postgres', 'CREATE DATABASE vigia_master');
    await server.query('vigia_master', readFileSync(join(folder, 'registry.sql'), 'utf8'));
    const rows = await server.query<{ db_name: string; subdominio: string }>(
      'vigia_master',
      'SELECT db_name, subdominio FROM clientes_saas',
    );
    for (const { db_name: database, subdominio } of rows) {
      await server.query('postgres', `CREATE DATABASE ${database}`);
      await server.query(
        database,
        `CREATE TABLE facts AS SELECT i, '${subdominio} ' || i AS fact FROM generate_series(1, 50) i`,
      );
    }
    const disks = {
      VIGIA_BACKUPS: join(server.folder, 'backups'),
      VIGIA_SECOND_DISK: join(server.folder, 'second'),
    };
    at = { cwd: folder, env: { VIGIA_URL: server.url, ...disks } };
  });
  afterAll(async () => server?.stop());

  it('is valid, and each class has its own tenants', async () => {
    await pgsiloOk(['validate', ...files], at);
    for (const [name, units] of Object.entries(classes)) {
      const plan = (await pgsiloOk(['plan', `${name}.yaml`, '--json'], at)).json<any>();
      const planned = plan['jobs'].flatMap((job: any) => job.units.map((unit: any) => unit.unit));
      expect({ name, units: planned.toSorted() }).toEqual({ name, units });
    }
  });

  it('is backed up by one command, and a tenant of each class comes back', async () => {
    const document = (await pgsiloOk(['backup', ...files, '--json'], at)).json<any>();
    expect(document['runs'].map((run: any) => run.report.status)).toEqual(['ok', 'ok', 'ok', 'ok']);
    for (const [file, unit, database] of [
      ['master.yaml', 'sul', 'vigia_sul'],
      ['active.yaml', 'acme', 'vigia_acme'],
      ['demo.yaml', 'trial-1', 'vigia_trial_1'],
      ['legacy.yaml', 'velha', 'vigia_velha'],
    ] as const) {
      const { target } = (await pgsiloOk(['restore', file, unit, '--json'], at)).json<any>();
      expect(await contentOf(server, target)).toEqual(await contentOf(server, database));
    }
  });

  it('goes on when the second disk is gone, and says so', async () => {
    writeFileSync(join(server.folder, 'file'), '');
    const env = { ...at.env, VIGIA_SECOND_DISK: join(server.folder, 'file', 'no-folder') };
    const result = await pgsiloOk(['backup', 'master.yaml'], { ...at, env });
    expect(result.all).toContain('second-disk');
  });
});

describe('examples/ci', () => {
  const folder = join(examples, 'ci');
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 3));
  });
  afterAll(async () => server?.stop());

  /** A checkout of a repository that holds the example's files. */
  const checkout = (
    name: string,
  ): { cwd: string; env: Record<string, string>; values: Record<string, string>; stubs: string[] } => {
    const cwd = join(server.folder, name);
    mkdirSync(cwd);
    cpSync(folder, cwd, { recursive: true });
    writeFileSync(join(cwd, 'migrate-and-deploy.sh'), '#!/bin/sh\necho deployed > deployed.txt\n', {
      mode: 0o755,
    });
    return {
      cwd,
      env: { VIGIA_BACKUPS: join(cwd, 'backups') },
      values: { 'secrets.VIGIA_URL': server.url, 'github.ref_name': 'v2.4.0' },
      stubs: ['sudo', 'npm'],
    };
  };

  it('runs the nightly workflow', async () => {
    const results = await runWorkflow(join(folder, 'nightly-backup.yml'), checkout('nightly'));
    expect(results.map(({ name, exit }) => [name, exit])).toEqual([
      ['Install', 0],
      ['Check the pipeline and all that it needs', 0],
      ['Back up', 0],
      ['Prove that what was written can be read', 0],
    ]);
    expect(results.map(({ output }) => output).join('\n')).not.toContain(server.password);
  });

  it('fails the build when a tenant is missing', async () => {
    await server.query('vigia_master', `INSERT INTO clientes_saas VALUES ('gone_db', 'gone', 'demo')`);
    try {
      const results = await runWorkflow(join(folder, 'nightly-backup.yml'), checkout('missing'));
      expect(results.at(-1)).toMatchObject({ exit: 1 });
      expect(results.at(-1)!.output).toContain('gone_db');
    } finally {
      await server.query('vigia_master', `DELETE FROM clientes_saas WHERE db_name = 'gone_db'`);
    }
  });

  it('backs up before a deployment, labelled and pinned, and names the backups in deployment.json', async () => {
    const place = checkout('deploy');
    const results = await runWorkflow(join(folder, 'deploy.yml'), place);
    expect(results.map(({ exit }) => exit)).toEqual([0, 0, 0]);
    expect(existsSync(join(place.cwd, 'deployed.txt'))).toBe(true);
    const manifest = JSON.parse(readFileSync(join(place.cwd, 'deployment.json'), 'utf8'));
    expect(manifest.release).toBe('v2.4.0');
    const { unit, backup } = manifest.backups.find((one: any) => one.unit === 'acme');
    const at = { cwd: place.cwd, env: { ...place.env, VIGIA_URL: server.url } };
    const [listed] = (await pgsiloOk(['list', 'pipeline.yaml', unit, '--json'], at)).json<any>()['backups'];
    expect(listed).toMatchObject({ backup, labels: { release: 'v2.4.0' }, pin: { reason: 'before v2.4.0' } });
    await pgsiloOk(['restore', 'pipeline.yaml', unit, '--backup', backup], at);
  });

  it('deploys nothing when the backup fails', async () => {
    const place = checkout('unreachable');
    const results = await runWorkflow(join(folder, 'deploy.yml'), {
      ...place,
      values: { ...place.values, 'secrets.VIGIA_URL': 'postgresql://nobody@127.0.0.1:1/postgres' },
    });
    expect(results.at(-1)).toMatchObject({ name: 'Back up before anything is changed', exit: 3 });
    expect(existsSync(join(place.cwd, 'deployed.txt'))).toBe(false);
    expect(existsSync(join(place.cwd, 'deployment.json'))).toBe(false);
    expect(
      (
        await pgsilo(['list', 'pipeline.yaml'], {
          cwd: place.cwd,
          env: { ...place.env, VIGIA_URL: server.url },
        })
      ).exit,
    ).toBe(0);
  });
});
