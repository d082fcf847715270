import { folderForServer } from '@pgsilo/testkit/postgres';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgsilo, pgsiloOk, startPgsilo, type CallOptions } from './services/pgsilo.ts';
import { availablePostgres, installPostgres } from './services/postgres.ts';
import { startServer, until, type TestServer } from './services/server.ts';

const system = (await availablePostgres())[0]!;
const wanted = [system, await installPostgres(18)];
const versions = wanted.filter(({ major }, index) => index === 0 || major !== system.major);
const tenant = `Ac"me's --x`;

// Each stands on those before it.
describe.each(versions)('one tenant of PostgreSQL $major, back in time', { timeout: 180_000 }, (programs) => {
  let folder: string;
  let server: TestServer;
  let at: CallOptions;
  /** When everything was well. */
  let moment: string;
  const file = 'files.yaml';
  const identifier = `"${tenant.replaceAll('"', '""')}"`;
  const bin = 'bin' in programs ? programs.bin : '';
  const scratch = (): string[] => readdirSync(join(folder, 'scratch'));
  const run = (program: string, ...parameters: string[]): string =>
    execFileSync(join(server.bin, program), parameters, {
      env: { ...process.env, PGPASSWORD: server.password },
      encoding: 'utf8',
    });
  const now = async (): Promise<string> => {
    const [row] = await server.query<{ now: Date }>('postgres', 'SELECT clock_timestamp() AS now');
    return row!.now.toISOString();
  };
  /** Brings a dump into a new database and says how many rows a table has there. */
  const rowsIn = async (dump: string, table: string): Promise<number> => {
    await server.query('postgres', 'DROP DATABASE IF EXISTS looked_at');
    await server.query('postgres', 'CREATE DATABASE looked_at');
    run('pg_restore', '--exit-on-error', `--dbname=${server.urlOf('looked_at')}`, dump);
    const [row] = await server.query<{ rows: number }>(
      'looked_at',
      `SELECT count(*)::int AS rows FROM ${table}`,
    );
    return row!.rows;
  };

  beforeAll(async () => {
    folder = folderForServer();
    // The server of the past runs as somebody who owns nothing.
    chmodSync(folder, 0o711);
    server = await startServer({ ...(bin === '' ? {} : { bin }), settings: { wal_keep_size: '1GB' } });
    mkdirSync(join(folder, 'scratch'), { mode: 0o711 });
    const texts = [server.bin, server.url, join(folder, 'scratch'), join(folder, 'store')].map((text) =>
      JSON.stringify(text),
    );
    writeFileSync(
      join(folder, file),
      `pipeline: files\nsource: { use: basebackup, connection: ${texts[1]}, bin: ${texts[0]} }\ntransforms: [{ use: zstd }]\nsinks: [{ use: local, path: ${texts[3]} }]\nscratch: ${texts[2]}\n`,
    );
    at = { cwd: folder, env: {} };
    for (const name of [identifier, 'globex', 'initech', 'template_of_tenants'])
      await server.query('postgres', `CREATE DATABASE ${name}`);
    for (const name of [tenant, 'globex', 'initech', 'template_of_tenants'])
      await server.query(
        name,
        `CREATE TABLE orders AS SELECT i, md5(i::text) AS text FROM generate_series(1, 5000) i`,
      );
    await pgsiloOk(['backup', file], at);

    await server.query(tenant, `INSERT INTO orders SELECT i, 'later' FROM generate_series(1, 500) i`);
    await server.query(tenant, `CREATE TABLE second AS SELECT i FROM generate_series(1, 77) i`);
    await server.query('postgres', 'SELECT pg_switch_wal()');
    // What recovery does to databases whose files are not there: maps, truncations, whole tables, a copy of one, the end of one.
    await server.query('globex', 'VACUUM FULL');
    await server.query('globex', 'TRUNCATE orders');
    await server.query('globex', 'CREATE TABLE other AS SELECT i FROM generate_series(1, 50000) i');
    await server.query('globex', 'CREATE INDEX ON other (i)');
    await server.query('postgres', 'CREATE DATABASE of_template TEMPLATE template_of_tenants');
    if (programs.major >= 15)
      await server.query(
        'postgres',
        'CREATE DATABASE of_files TEMPLATE template_of_tenants STRATEGY file_copy',
      );
    await server.query('postgres', 'SELECT pg_switch_wal()');
    await server.query('initech', 'DELETE FROM orders WHERE i > 10');
    await server.query('postgres', 'CHECKPOINT');
    moment = await now();
    await server.query(tenant, 'DROP TABLE second');
    await server.query(tenant, 'UPDATE orders SET text = NULL');
    await server.query('postgres', 'DROP DATABASE initech');
    const [row] = await server.query<{ name: string }>(
      'postgres',
      `SELECT pg_walfile_name(pg_current_wal_lsn()) AS name`,
    );
    await server.query('postgres', 'SELECT pg_switch_wal()');
    const wal = join(server.dataFolder, 'pg_wal');
    const segments = readdirSync(wal).filter((name) => /^[0-9A-F]{24}$/.test(name) && name <= row!.name);
    for (const name of segments.sort()) await pgsiloOk(['wal', 'push', file, join(wal, name)], at);
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('comes into a file as it was, from its own files and the shared ones alone', async () => {
    const { stdout } = await pgsiloOk(['show', file, '@cluster', '--json'], at);
    const { parts } = JSON.parse(stdout).manifest as {
      parts: { name: string; artifacts: string[] }[];
    };
    const others = parts.filter(({ name }) => ['globex', 'template_of_tenants', 'initech'].includes(name));
    expect(others).toHaveLength(3);
    const away = others
      .flatMap(({ artifacts }) => artifacts)
      .flatMap((artifact) => globSync(`store/**/${artifact}*`, { cwd: folder }));
    expect(away.length).toBeGreaterThanOrEqual(3);
    for (const path of away) renameSync(join(folder, path), join(folder, path.replaceAll('/', '!')));
    try {
      const before = await server.databases();
      const restored = await pgsiloOk(
        ['restore', file, tenant, '--at', moment, '--dump', 'acme.dump', '--json'],
        at,
      );
      expect(restored.json()).toMatchObject({ target: join(folder, 'acme.dump') });
      expect(await server.databases()).toEqual(before);
    } finally {
      for (const path of away) renameSync(join(folder, path.replaceAll('/', '!')), join(folder, path));
    }
    expect(statSync(join(folder, 'acme.dump')).mode & 0o777).toBe(0o600);
    expect(await rowsIn(join(folder, 'acme.dump'), 'second')).toBe(77);
    expect(await rowsIn(join(folder, 'acme.dump'), `orders WHERE text IS NOT NULL`)).toBe(5500);
    expect(scratch()).toEqual([]);
  });

  it('comes back when it was dropped since', async () => {
    await pgsiloOk(['restore', file, 'initech', '--at', moment, '--dump', 'initech.dump'], at);
    expect(await rowsIn(join(folder, 'initech.dump'), 'orders')).toBe(10);
  });

  it('comes as it was at the end of the backup, where no moment is named', async () => {
    const plan = await pgsiloOk(
      ['restore', file, '@cluster', '--database', tenant, '--dump', 'end.dump'],
      at,
    );
    expect(plan.stdout).toContain('the end of the backup');
    expect(await rowsIn(join(folder, 'end.dump'), 'orders')).toBe(5000);
  });

  it('is refused plainly where it cannot be, and leaves nothing', async () => {
    const dump = ['--dump', 'not.dump'];
    const refused = async (...parameters: string[]): Promise<string> => {
      const { exit, stderr } = await pgsilo(['restore', file, ...parameters], at);
      expect(exit).not.toBe(0);
      return stderr;
    };
    const late = new Date(Date.now() + 3_600_000).toISOString();
    expect(await refused(tenant, '--at', late, ...dump)).toContain('does not reach');
    expect(await refused(tenant, '--at', '2020-01-01T00:00:00Z', ...dump)).toContain('catalog.not-found');
    expect(await refused('nobody', '--at', moment, ...dump)).toContain('holds no database "nobody"');
    expect(await refused('@cluster', '--database', 'nobody', ...dump)).toContain('holds no database');
    expect(await refused(tenant, '--at', moment, '--dump', 'acme.dump')).toContain('is there already');
    expect(await refused(tenant, '--at', moment)).toContain('--dump FILE');
    expect(await refused('@cluster', ...dump)).toContain('--database');
    expect(existsSync(join(folder, 'not.dump'))).toBe(false);
    expect(scratch()).toEqual([]);
  });

  it('leaves nothing when it is interrupted or killed', async () => {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const running = startPgsilo(['restore', file, tenant, '--at', moment, '--dump', 'cut.dump'], at);
      await until('the server runs', () => globSync('scratch/pgsilo-server-*/server', { cwd: folder })[0]);
      running.kill(signal);
      await running.result;
      await until('it is gone', () => scratch().every((name) => !name.startsWith('pgsilo-server')));
      expect(globSync('cut.dump*', { cwd: folder })).toEqual([]);
    }
  });

  it('does not come from log with a gap, nor from log that was altered', async () => {
    const segments = globSync('store/files/wal/*/*', { cwd: folder }).sort();
    const path = join(folder, segments.at(-2)!);
    const restore = async (dump: string): Promise<string> => {
      const { exit, stderr } = await pgsilo(['restore', file, tenant, '--at', moment, '--dump', dump], at);
      expect([exit === 0, existsSync(join(folder, dump))]).toEqual([false, false]);
      return stderr;
    };
    const away = join(folder, 'away');
    renameSync(path, away);
    expect(await restore('gap.dump')).toContain('does not reach');
    const bytes = readFileSync(away);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(path, bytes);
    expect(await restore('altered.dump')).toMatch(/transform\.corrupt|sink\.corrupt/);
    expect(scratch()).toEqual([]);
  });
});
