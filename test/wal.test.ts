import { execFileSync } from 'node:child_process';
import { folderForServer, serveFolder, serverUser } from '@pgsilo/testkit/postgres';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mayReadCheckout } from './services/checkout.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

// Each stands on those before it.
describe('write-ahead log of a server', { timeout: 180_000 }, () => {
  let folder: string;
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  /** A moment of which the second table had its rows, and the next moment it was dropped. */
  let moment: string;

  beforeAll(async () => {
    folder = folderForServer();
    const store = join(folder, "sto re'%f");
    mkdirSync(store);
    const identity = serverUser();
    if (identity) chownSync(store, identity.uid, identity.gid);
    file = join(folder, 'files.yaml');
    server = await startServer();
    const [bin, url] = [JSON.stringify(server.bin), JSON.stringify(server.url)];
    writeFileSync(
      file,
      `pipeline: files\nsource: { use: basebackup, connection: ${url}, bin: ${bin} }\ntransforms: [{ use: zstd }]\nsinks: [{ use: local, path: ${JSON.stringify(store)} }]\n`,
    );
    chmodSync(file, 0o644);
    at = { cwd: folder, env: {} };
    await server.query('postgres', `CREATE TABLE first AS SELECT 1 AS i`);
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const walFolder = (): string => join(folder, "sto re'%f", 'files', 'wal', '00000001');
  const segment = (name: string): string => join(server.dataFolder, 'pg_wal', name);
  const next = async (): Promise<string> => {
    const [row] = await server.query<{ name: string }>(
      'postgres',
      `SELECT pg_walfile_name(pg_current_wal_lsn()) AS name`,
    );
    await server.query('postgres', 'SELECT pg_switch_wal()');
    return row!.name;
  };

  it('is pushed once however often, and another content under its name is refused', async () => {
    await pgsiloOk(['backup', file], at);
    await server.query('postgres', `CREATE TABLE second AS SELECT generate_series(1, 100) AS i`);
    const [row] = await server.query<{ now: Date }>('postgres', 'SELECT clock_timestamp() AS now');
    moment = row!.now.toISOString();
    await server.query('postgres', `DROP TABLE second`);
    const name = await next();
    const pushed = await pgsiloOk(['wal', 'push', file, segment(name), '--json'], at);
    expect(pushed.json()).toEqual({ name, sinks: [{ sink: 'local', status: 'stored' }] });
    const again = await pgsiloOk(['wal', 'push', file, segment(name)], at);
    expect(again.stdout).toContain('local: there');
    const altered = join(folder, name);
    const bytes = readFileSync(segment(name));
    bytes[5000]! ^= 1;
    writeFileSync(altered, bytes);
    const refused = await pgsilo(['wal', 'push', file, altered], at);
    expect([refused.exit, refused.stderr]).toEqual([1, expect.stringContaining('wal.conflict')]);
    expect(readdirSync(walFolder())).toHaveLength(1);
    const cut = join(folder, '00000001000000000000000F');
    writeFileSync(cut, bytes.subarray(0, 8192));
    const short = await pgsilo(['wal', 'push', file, cut], at);
    expect(short.stderr).toContain('has 8192 bytes');
    writeFileSync(cut, bytes);
    const misnamed = await pgsilo(['wal', 'push', file, cut], at);
    expect(misnamed.stderr).toContain('another part of the log than its name says');
  });

  it.skipIf(!mayReadCheckout())('brings a server back to a moment, and stops where it cannot', async () => {
    // What root has pushed is fetched by the user of the server.
    const identity = serverUser();
    if (identity) execFileSync('chown', ['-R', `${identity.uid}:${identity.gid}`, join(folder, "sto re'%f")]);
    const to = join(folder, "re'store%d");
    const plan = await pgsiloOk(['restore', file, '@cluster', '--at', moment, '--to', to], at);
    expect(plan.stdout).toContain(moment);
    const served = await serveFolder(to, server.bin);
    try {
      const client = new pg.Client({
        host: to,
        port: 5432,
        user: server.user,
        password: server.password,
        database: 'postgres',
      });
      await client.connect();
      const { rows } = await client.query(
        `SELECT count(*)::int AS rows, pg_is_in_recovery() AS recovering, current_setting('archive_mode') AS archiving FROM second`,
      );
      await client.end();
      expect(rows).toEqual([{ rows: 100, recovering: false, archiving: 'off' }]);
    } finally {
      await served.stop();
    }

    // Behind the end of what was archived; then with an altered segment on the way.
    const late = join(folder, 'late');
    await pgsiloOk(
      ['restore', file, '@cluster', '--at', new Date(Date.now() + 3_600_000).toISOString(), '--to', late],
      at,
    );
    await expect(serveFolder(late, server.bin)).rejects.toThrow(
      /recovery ended before configured recovery target was reached/,
    );
    const [stored] = readdirSync(walFolder());
    const path = join(walFolder(), stored!);
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(path, bytes);
    const altered = join(folder, 'altered');
    await pgsiloOk(['restore', file, '@cluster', '--at', moment, '--to', altered], at);
    await expect(serveFolder(altered, server.bin)).rejects.toThrow(
      /could not restore file .* command not executable/,
    );
    const early = await pgsilo(
      ['restore', file, '@cluster', '--at', '2020-01-01T00:00:00Z', '--to', join(folder, 'early')],
      at,
    );
    expect([early.exit, early.stderr]).toEqual([1, expect.stringContaining('catalog.not-found')]);
  });

  it('tells "never archived" from all other trouble', async () => {
    const fetch = async (name: string, pipeline = file): Promise<number | undefined> =>
      (await pgsilo(['wal', 'fetch', pipeline, name, join(folder, 'RECOVERYXLOG')], at)).exit;
    expect(await fetch('00000009.history')).toBe(44);
    expect(await fetch('not-of-the-log')).toBe(126);
    expect(await fetch('00000009.history', join(folder, 'nothing.yaml'))).toBe(126);
  });

  it('expires what no kept base backup needs, and nothing else', async () => {
    const old = new Date(Date.now() - 86_400_000);
    const stale = readdirSync(walFolder());
    // As if a day had passed: what was stored since the newest backup began is kept.
    for (const name of stale) utimesSync(join(walFolder(), name), old, old);
    const keeping = join(folder, 'keeping.yaml');
    writeFileSync(keeping, `${readFileSync(file, 'utf8')}retention: { last: 1 }\n`);
    const two = await pgsiloOk(['prune', keeping, '--dry-run', '--json'], at);
    expect(two.json()).toMatchObject({ sinks: [{ wal: { removed: 0, kept: stale.length } }] });
    await pgsiloOk(['backup', file, '--quiet'], at);
    const name = await next();
    await pgsiloOk(['wal', 'push', file, segment(name)], at);
    const report = await pgsiloOk(['prune', keeping], at);
    expect(report.stdout).toMatch(
      new RegExp(`${stale.length} files? of write-ahead log removed \\(.*\\), 1 kept`),
    );
    expect(readdirSync(walFolder()).map((key) => key.slice(0, 24))).toEqual([name]);
  });
});
