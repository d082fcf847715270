import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

let server: TestServer;
let at: CallOptions;

beforeAll(async () => {
  server = await startServer();
  at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
  await createFleet(server);
});
afterAll(() => server?.stop());

describe('a', () => {
  it('b', async () => {
    const file = writePipeline(server, { source: '  fingerprint: content' });
    await pgsiloOk(['backup', file], at);
    const result = await pgsilo(['verify', file, '--level', 'restore'], at);
    console.log(result.all);
    console.log((await pgsilo(['list', file], at)).all);
    expect(result.exit).toBe(0);
    void tenants;
  });
});
