import { execa } from 'execa';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf, settingsOf, textOf } from './services/equality.ts';
import { createFleet, tenants, writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

describe('restoring one tenant', () => {
  let server: TestServer;
  let other: TestServer;
  let at: CallOptions;
  let file: string;
  let older: string;
  let newer: string;
  let original: string;

  beforeAll(async () => {
    [server, other] = await Promise.all([startServer(), startServer()]);
    await createFleet(server, tenants.slice(0, 2));
    at = { cwd: server.folder, env: { VIGIA_URL: server.url, OTHER_URL: other.url } };
    file = writePipeline(server, { source: '  fingerprint: content' });
    const backup = async (): Promise<string> => {
      const document = (await pgsiloOk(['backup', file, '--json'], at)).json<any>();
      return document['runs'][0].report.run;
    };
    original = await textOf(server, 'acme_db');
    older = await backup();
    await server.query(
      'acme_db',
      `INSERT INTO app.customers (name, mail) VALUES ('late', 'late@example.com')`,
    );
    newer = await backup();
  });
  afterAll(async () => {
    await server?.stop();
    await other?.stop();
  });

  it('goes into a new database whose name says where it came from', async () => {
    const { target } = (await pgsiloOk(['restore', file, 'acme', '--json'], at)).json<any>();
    expect(target).toBe(`acme_db_restored_${newer.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')}`);
    expect(await textOf(server, target)).toBe(await textOf(server, 'acme_db'));
  });

  it('takes --to, prints what it did, how long it took and what is next', async () => {
    const { stdout } = await pgsiloOk(['restore', file, 'acme', '--to', 'acme copy "2"'], at);
    expect(stdout).toMatch(/restored +acme/);
    expect(stdout).toMatch(/compared +\d+ tables/);
    expect(stdout).toMatch(/next/);
    expect(await server.databases()).toContain('acme copy "2"');
    const again = await pgsilo(['restore', file, 'acme', '--to', 'acme copy "2"'], at);
    expect(again.exit).toBe(2);
    expect(again.stderr).toContain('restore.target-exists');
  });

  it('finds the backup before a time, and one by its id', async () => {
    const [, first] = (await pgsiloOk(['list', file, 'acme', '--json'], at)).json<any>()['backups'];
    expect(first.backup).toBe(older);
    const time = new Date(new Date(first.snapshotAt).getTime() + 1).toISOString();
    const { target, backup } = (
      await pgsiloOk(['restore', file, 'acme', '--before', time, '--to', 'early', '--json'], at)
    ).json<any>();
    expect(backup).toBe(older);
    expect(await textOf(server, target)).toBe(original);
    const byId = (await pgsiloOk(['restore', file, 'acme', '--backup', older, '--json'], at)).json<any>();
    expect(await contentOf(server, byId['target'])).toEqual(await contentOf(server, 'early'));
  });

  it('refuses --at with the nearest backup, and times without a zone', async () => {
    const at2030 = await pgsilo(['restore', file, 'acme', '--at', '2030-01-01T00:00:00Z'], at);
    expect(at2030.exit).toBe(2);
    expect(at2030.stderr).toContain('restore.refused');
    expect(at2030.stderr).toContain(newer);
    const zoneless = await pgsilo(['restore', file, 'acme', '--before', '2030-01-01 00:00'], at);
    expect(zoneless.exit).toBe(2);
  });

  it('brings back one table with all that belongs to it, and refuses a name that matches nothing', async () => {
    const call = ['restore', file, 'acme', '--table', 'app.customers', '--to', 'only_customers', '--json'];
    const { target } = (await pgsiloOk(call, at)).json<any>();
    const wanted = (await contentOf(server, 'acme_db')).filter((line) =>
      line.startsWith('"app"."customers" '),
    );
    expect(await contentOf(server, target)).toEqual(wanted);
    const describeTable = `SELECT
      (SELECT array_agg(conname || ' ' || pg_get_constraintdef(oid) ORDER BY conname) FROM pg_constraint WHERE conrelid = 'app.customers'::regclass) AS constraints,
      (SELECT array_agg(indexdef ORDER BY indexname) FROM pg_indexes WHERE tablename = 'customers') AS indexes,
      (SELECT array_agg(polname || pg_get_expr(polqual, polrelid)) FROM pg_policy) AS policies,
      (SELECT last_value FROM pg_sequences WHERE sequencename = 'customers_id_seq') AS last`;
    const [found] = await server.query(target, describeTable);
    expect(found).toEqual((await server.query('acme_db', describeTable))[0]);
    expect(found!['indexes']).toHaveLength(3);
    const wrong = await pgsilo(['restore', file, 'acme', '--table', 'app.custmers', '--to', 'nothing'], at);
    expect(wrong.exit).toBe(2);
    expect(wrong.stderr).toContain('restore.no-match');
    expect(wrong.stderr).toContain('app.customers');
    expect(await server.databases()).not.toContain('nothing');
  });

  it('names missing roles on another server, then restores them from @globals and the tenant after them', async () => {
    const lacking = await pgsilo(
      ['restore', file, 'acme', '--to-server', 'env:OTHER_URL', '--to', 'acme_db'],
      at,
    );
    expect(lacking.exit).toBe(3);
    expect(lacking.stderr).toContain('restore.roles-missing');
    expect(lacking.stderr).toContain('vigia_owner');
    expect(lacking.stderr).toContain('@globals');
    expect(await other.databases()).toEqual(['postgres']);

    const globals = await pgsiloOk(['restore', file, '@globals', '--to-server', 'env:OTHER_URL'], at);
    expect(globals.all).not.toContain('SCRAM-SHA-256');
    await pgsiloOk(['restore', file, 'acme', '--to-server', 'env:OTHER_URL', '--to', 'acme_db'], at);
    expect(await textOf(other, 'acme_db')).toBe(await textOf(server, 'acme_db'));
    expect(await settingsOf(other, 'acme_db')).toEqual(await settingsOf(server, 'acme_db'));
    // The role's password came along: it can log in there.
    const app = await other.session('acme_db', { name: 'vigia "app"', password: 'app-secret-5180' });
    await app.end();
    const again = await pgsiloOk(['restore', file, '@globals', '--to-server', 'env:OTHER_URL'], at);
    expect(again.all).toMatch(/vigia_owner|exist/);
  });

  it('works without pgsilo, by the commands that `show` prints', async () => {
    const gzipped = writePipeline(server, { name: 'gzipped', transform: 'gzip' });
    await pgsiloOk(['backup', gzipped, '--only', 'acme'], at);
    const { byHand } = (await pgsiloOk(['show', gzipped, 'acme', '--json'], at)).json<{ byHand: string[] }>();
    const [, path] = /in a copy of (\S+)/.exec(byHand[0]!)!;
    const { exitCode, all } = await execa(
      'sh',
      ['-e', '-c', byHand.join('\n').replaceAll('NEW_DATABASE', 'by_hand')],
      {
        cwd: join(server.folder, 'store/gzipped', path!),
        env: {
          PGHOST: server.host,
          PGPORT: String(server.port),
          PGUSER: server.user,
          PGPASSWORD: server.password,
          PATH: `${server.bin}:${process.env['PATH']}`,
        },
        all: true,
        reject: false,
      },
    );
    expect({ exitCode, all }).toMatchObject({
      exitCode: 0,
      all: expect.stringContaining('database.dump.gz: OK'),
    });
    expect(await contentOf(server, 'by_hand')).toEqual(await contentOf(server, 'acme_db'));
  });

  it('does without the roles with --no-owner', async () => {
    const bare = await startServer();
    try {
      const env = { ...at.env, OTHER_URL: bare.url };
      await pgsiloOk(
        ['restore', file, 'acme', '--to-server', 'env:OTHER_URL', '--no-owner', '--to', 'acme'],
        { ...at, env },
      );
      expect(await contentOf(bare, 'acme')).toEqual(await contentOf(server, 'acme_db'));
    } finally {
      await bare.stop();
    }
  });

  it('refuses a password on the command line', async () => {
    const result = await pgsilo(['restore', file, 'acme', '--to-server', other.url], at);
    expect(result.exit).toBe(2);
    expect(result.stderr).toContain('env:');
    expect(result.stderr).not.toContain(other.password);
  });
});
