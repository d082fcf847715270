import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { schemaTextOf } from './services/schema-text.ts';
import { startServer, type TestServer } from './services/server.ts';

const example = join(import.meta.dirname, '..', 'examples', 'schema-per-tenant');
const everyUnit = ['@database', '@globals', 'acme', 'central', 'globex', 'initech', 'parameters'];

// Each stands on those before it.
describe('examples/schema-per-tenant', () => {
  let server: TestServer;
  let at: CallOptions;

  beforeAll(async () => {
    server = await startServer();
    await server.query('postgres', 'CREATE DATABASE platform');
    await server.query('platform', readFileSync(join(example, 'platform.sql'), 'utf8'));
    const cwd = join(server.folder, 'example');
    cpSync(example, cwd, { recursive: true });
    const env = {
      PLATFORM_URL: server.urlOf('platform'),
      PLATFORM_BACKUPS: join(server.folder, 'backups'),
    };
    at = { cwd, env };
  });
  afterAll(async () => server?.stop());

  it('is valid, and a doctor finds nothing wrong with it', async () => {
    await pgsiloOk(['validate', 'pipeline.yaml'], at);
    const { checks } = (await pgsiloOk(['doctor', 'pipeline.yaml', '--json'], at)).json();
    expect(checks.filter(({ status }: { status: string }) => status === 'failed')).toEqual([]);
    expect(checks.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(['pg_dump', 'locks', 'large objects', 'units']),
    );
  });

  it('plans the customers of the registry and the shared schemas, and names the schema of one who left', async () => {
    const plan = (await pgsiloOk(['plan', 'pipeline.yaml', '--json'], at)).json();
    const units = plan['jobs'].flatMap((job: any) => job.units);
    expect(units.map(({ unit }: { unit: string }) => unit).toSorted()).toEqual(everyUnit);
    expect(units).toContainEqual({ unit: 'acme', labels: { plan: 'paid' } });
    expect(units).toContainEqual({ unit: 'central', labels: { role: 'shared' } });
    expect(plan['warnings']).toEqual([expect.stringMatching(/covered by no rule .*: tenant_4$/)]);
  });

  it('is backed up, listed and verified', async () => {
    await pgsiloOk(['backup', 'pipeline.yaml'], at);
    const { backups } = (await pgsiloOk(['list', 'pipeline.yaml', '--json'], at)).json();
    expect(backups.map(({ unit }: { unit: string }) => unit).toSorted()).toEqual(everyUnit);
    const verified = await pgsiloOk(['verify', 'pipeline.yaml', '--level', 'decode'], at);
    expect(verified.all).toMatch(/initech.*\n?.*1 table, 100 rows/);
  });

  it('gives one customer back in a database of its own, as it was', async () => {
    const before = await schemaTextOf(server, 'platform', 'Tenant 3');
    await server.query('platform', 'DROP SCHEMA "Tenant 3" CASCADE');
    await pgsiloOk(['restore', 'pipeline.yaml', 'initech', '--to', 'initech_copy'], at);
    expect(await schemaTextOf(server, 'initech_copy', 'Tenant 3')).toBe(before);
    expect(await server.query('initech_copy', 'SELECT count(*)::int FROM "Tenant 3".invoice')).toEqual([
      { count: 100 },
    ]);
  });

  it('backs up the paying customers alone, each from a dump of its schema', async () => {
    await server.query('platform', `UPDATE central.tenants SET active = false WHERE subdomain = 'initech'`);
    const document = (
      await pgsiloOk(['backup', 'pipeline.yaml', '--where', 'plan=paid', '--json'], at)
    ).json();
    expect(document['runs'][0].report.units.map(({ unit }: { unit: string }) => unit)).toEqual(['acme']);
    await pgsiloOk(['restore', 'pipeline.yaml', 'acme', '--to', 'acme_copy'], at);
    expect(await schemaTextOf(server, 'acme_copy', 'tenant_1')).toBe(
      await schemaTextOf(server, 'platform', 'tenant_1'),
    );
  });
});
