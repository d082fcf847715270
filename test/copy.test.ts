import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';
import { filesIn } from './services/stored.ts';

describe('copying backups to another sink', { timeout: 120_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  const two = 'two.yaml';

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    const one = writePipeline(server);
    await pgsiloOk(['backup', one], at);
    const text = readFileSync(join(server.folder, one), 'utf8');
    const more = '  - { use: local, name: off-site, path: off-site }\n';
    writeFileSync(join(server.folder, two), text.replace(/^sinks:\n/mu, `sinks:\n${more}`));
  });
  afterAll(async () => server?.stop());

  it('needs no server, shows beforehand what it would do, and makes copies that can be restored alone', async () => {
    const copy = ['copy', two, '--from', 'local', '--to', 'off-site'];
    const dead = { ...at, env: { VIGIA_URL: 'postgres://nobody@127.0.0.1:1/none' } };
    const dry = await pgsiloOk([...copy, '--dry-run'], dead);
    expect(dry.stdout).toContain('4 backups would be copied');
    expect(filesIn(join(server.folder, 'off-site'))).toEqual([]);

    const { backups } = (await pgsiloOk([...copy, '--json'], dead)).json();
    expect(backups.map(({ unit, status }: Record<string, string>) => [unit, status]).toSorted()).toEqual([
      ['@globals', 'copied'],
      ['acme', 'copied'],
      ['globex', 'copied'],
      ['vigia_master', 'copied'],
    ]);
    const again = (await pgsiloOk([...copy, '--json'], dead)).json();
    expect(again).toMatchObject({ present: 4, backups: [] });

    await pgsiloOk(['verify', two, '--all', '--sink', 'off-site', '--level', 'decode'], at);
    await pgsiloOk(['restore', two, 'acme', '--from', 'off-site', '--to', 'acme_copy'], at);
    const count = async (database: string): Promise<unknown> =>
      (await server.query(database, 'SELECT count(*)::int AS n FROM app.customers'))[0]!['n'];
    expect(await count('acme_copy')).toBe(await count('acme_db'));
  });

  it('refuses a sink that is not there, or the same one twice', async () => {
    const unknown = await pgsilo(['copy', two, '--from', 'local', '--to', 'moon'], at);
    expect(unknown.exit).toBe(2);
    expect(unknown.stderr).toContain('Its sinks: off-site, local.');
    expect((await pgsilo(['copy', two, '--from', 'local', '--to', 'local'], at)).exit).toBe(2);
  });
});
