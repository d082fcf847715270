import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

const fullSink = join(import.meta.dirname, 'fixtures', 'full-sink.ts');

describe('a sink that fails in the middle of a run', () => {
  let server: TestServer;
  let at: CallOptions;

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
  });
  afterAll(async () => server?.stop());

  const pipeline = (name: string, required: boolean): string =>
    writePipeline(server, {
      name,
      sinks: `  - { use: local, path: ./store-${name} }\n  - { use: "${fullSink}", name: full, required: ${required} }`,
    });

  it('is a failure of the run when it is required, and the other sink has everything', async () => {
    const file = pipeline('strict', true);
    const result = await pgsilo(['backup', file, '--json'], at);
    expect(result.exit).toBe(1);
    const { report } = result.json<any>()['runs'][0];
    expect(report.status).toBe('partial');
    expect(
      report.units.some((unit: any) => unit.sinks.some((sink: any) => sink.error?.code === 'sink.full')),
    ).toBe(true);
    const verified = (
      await pgsiloOk(['verify', file, '--level', 'decode', '--sink', 'local', '--json'], at)
    ).json<any>();
    expect(verified['checked']).toHaveLength(4);
  });

  it('is a warning when it is not required', async () => {
    const file = pipeline('lenient', false);
    const result = await pgsilo(['backup', file], at);
    expect(result.exit).toBe(0);
    expect(result.all).toMatch(/full/);
    const verified = (await pgsiloOk(['verify', file, '--sink', 'local', '--json'], at)).json<any>();
    expect(verified['status']).toBe('ok');
  });

  it('stops the run when no sink is left, and nothing is listed', async () => {
    const file = writePipeline(server, { name: 'alone', sinks: `  - { use: "${fullSink}", name: full }` });
    const result = await pgsilo(['backup', file, '--json'], at);
    expect([1, 3]).toContain(result.exit);
    expect(result.json<any>()['runs'][0].report.units.every((unit: any) => unit.status === 'failed')).toBe(
      true,
    );
    expect(await server.sessionsOfPgsilo()).toEqual([]);
  });
});
