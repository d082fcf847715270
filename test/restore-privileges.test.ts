import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf } from './services/equality.ts';
import { createFleet, ownerRole, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

describe('working as a role that is not superuser', () => {
  let server: TestServer;
  let at: CallOptions;
  let file: string;

  const urlAs = (name: string): string => {
    const url = new URL(server.url);
    url.username = name;
    url.password = 'secret-of-role-9';
    return url.href;
  };

  beforeAll(async () => {
    server = await startServer();
    await createFleet(server, tenants.slice(0, 2));
    await server.query(
      'postgres',
      `CREATE ROLE restorer LOGIN CREATEDB PASSWORD 'secret-of-role-9';
       CREATE ROLE member LOGIN CREATEDB PASSWORD 'secret-of-role-9' IN ROLE ${ownerRole};`,
    );
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    file = writePipeline(server);
    await pgsiloOk(['backup', file], at);
    await server.query('globex_db', 'CREATE EXTENSION dblink');
    await server.query(
      'globex_db',
      `CREATE FUNCTION app.c_function() RETURNS integer LANGUAGE internal AS 'pg_backend_pid'`,
    );
    await pgsiloOk(['backup', file, '--only', 'globex'], at);
  });
  afterAll(async () => server?.stop());

  it('backs up everything, and doctor says what is lacking', async () => {
    await server.query(
      'postgres',
      `CREATE ROLE blind LOGIN PASSWORD 'secret-of-role-9';
       CREATE ROLE reader LOGIN BYPASSRLS PASSWORD 'secret-of-role-9' IN ROLE pg_read_all_data, ${ownerRole};`,
    );
    const blind = await pgsilo(['doctor', file], { ...at, env: { VIGIA_URL: urlAs('blind') } });
    expect(blind.exit).toBe(1);
    expect(blind.stdout).toMatch(/failed +.*(acme_db|clientes_saas|vigia_master)/);
    const reader = { ...at, env: { VIGIA_URL: urlAs('reader') } };
    expect((await pgsiloOk(['doctor', file, '--json'], reader)).json()).toMatchObject({ status: 'ok' });
    await pgsiloOk(['backup', file, '--only', 'acme', '--only', '@globals'], reader);
    const { target } = (await pgsiloOk(['restore', file, 'acme', '--json'], at)).json<{ target: string }>();
    expect(await contentOf(server, target)).toEqual(await contentOf(server, 'acme_db'));
  });

  it('restores with --no-owner for a role that may create databases', async () => {
    const env = { VIGIA_URL: urlAs('restorer') };
    const call = ['restore', file, 'acme', '--no-owner', '--to', 'acme_mine', '--json'];
    await pgsiloOk(call, { ...at, env });
    expect(await contentOf(server, 'acme_mine')).toEqual(await contentOf(server, 'acme_db'));
    const [row] = await server.query(
      'postgres',
      `SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = 'acme_mine'`,
    );
    expect(row).toEqual({ owner: 'restorer' });
  });

  it('restores with the owners for a role that is a member of them', async () => {
    const env = { VIGIA_URL: urlAs('member') };
    await pgsiloOk(['restore', file, 'acme', '--to', 'acme_theirs'], { ...at, env });
    expect(await contentOf(server, 'acme_theirs')).toEqual(await contentOf(server, 'acme_db'));
    const [row] = await server.query(
      'acme_theirs',
      `SELECT tableowner FROM pg_tables WHERE tablename = 'orders'`,
    );
    expect(row).toEqual({ tableowner: ownerRole });
  });

  it('names what would need a superuser before it starts', async () => {
    const before = await server.databases();
    const env = { VIGIA_URL: urlAs('restorer') };
    const result = await pgsilo(['restore', file, 'globex', '--no-owner', '--to', 'globex_mine'], {
      ...at,
      env,
    });
    expect(result.exit).toBe(3);
    expect(result.stderr).toContain('restore.denied');
    expect(result.stderr).toMatch(/dblink/);
    expect(result.stderr).toMatch(/c_function/);
    expect(await server.databases()).toEqual(before);
  });
});
