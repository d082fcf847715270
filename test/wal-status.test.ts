import { folderForServer } from '@pgsilo/testkit/postgres';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, until, type TestServer } from './services/server.ts';

// Each stands on those before it.
describe('pgsilo wal status', { timeout: 180_000 }, () => {
  let folder: string;
  let server: TestServer;
  let at: CallOptions;
  let file: string;
  /** The server's archiver is content while this file is there. */
  let open: string;
  const names: string[] = [];

  beforeAll(async () => {
    folder = folderForServer();
    open = join(folder, 'open');
    writeFileSync(open, '');
    server = await startServer({
      settings: { archive_mode: 'on', archive_command: `test -e ${open}` },
      // Segments of another size than the usual one.
      initdb: ['--wal-segsize=1'],
    });
    file = join(folder, 'files.yaml');
    const [bin, url] = [JSON.stringify(server.bin), JSON.stringify(server.url)];
    writeFileSync(
      file,
      `pipeline: files\nsource: { use: basebackup, connection: ${url}, bin: ${bin} }\nsinks: [{ use: local, path: store }]\n`,
    );
    at = { cwd: folder, env: {} };
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Ends the segment that is written, and keeps a copy: the server may use its file again. */
  const next = async (): Promise<string> => {
    const [row] = await server
      .query<{ name: string }>('postgres', `CREATE TABLE IF NOT EXISTS t (); DROP TABLE t; SELECT 1`)
      .then(() =>
        server.query<{ name: string }>('postgres', `SELECT pg_walfile_name(pg_switch_wal()) AS name`),
      );
    const copy = join(folder, row!.name);
    copyFileSync(join(server.dataFolder, 'pg_wal', row!.name), copy);
    names.push(row!.name);
    return copy;
  };
  const push = (path: string): Promise<unknown> => pgsiloOk(['wal', 'push', file, path], at);

  it('tells windows, and exits with 1 for a gap in one until the gap is filled', async () => {
    const empty = await pgsilo(['wal', 'status', file], at);
    expect([empty.exit, empty.stdout]).toEqual([0, expect.stringContaining('no base backup')]);
    await push(await next());
    await pgsiloOk(['backup', file], at);
    const alone = await pgsiloOk(['wal', 'status', file], at);
    expect(alone.stdout).toContain('no log behind it');
    names.length = 0;
    const paths = [await next(), await next(), await next(), await next()];
    for (const index of [0, 1, 3]) await push(paths[index]!);
    const gap = await pgsilo(['wal', 'status', file, '--json'], at);
    expect(gap.exit).toBe(1);
    expect(gap.json()).toMatchObject({
      pipeline: 'files',
      status: 'failed',
      segmentBytes: 2 ** 20,
      sinks: [
        {
          windows: [
            { last: names[1], gap: { first: names[2], last: names[2], segments: 1, elsewhere: false } },
          ],
        },
      ],
    });
    const said = await pgsilo(['wal', 'status', file], at);
    expect(said.stdout).toMatch(
      new RegExp(`to the end of ${names[1]}, stored .*; then ${names[2]} is missing`),
    );
    await push(paths[2]!);
    const whole = await pgsiloOk(['wal', 'status', file, '--json'], at);
    expect(whole.json()).toMatchObject({
      status: 'ok',
      sinks: [{ windows: [{ last: names[3] }] }],
      server: { mode: 'on', configured: true, failing: false, behind: { newest: names[3], segments: 0 } },
    });
    expect(whole.json().server.behind.bytes).toBeLessThan(2 ** 20);
  });

  it('exits with 1 while archiving fails, says how far behind it is and when the disk will be full', async () => {
    rmSync(open);
    const [first, second] = [await next(), await next()];
    await until('the archiver has failed', async () => {
      const [row] = await server.query('postgres', `SELECT last_failed_wal AS name FROM pg_stat_archiver`);
      return row!['name'] === names[4];
    });
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const { exit, json } = await pgsilo(['wal', 'status', file, '--json'], at);
    expect(exit).toBe(1);
    const { server: seen } = json();
    expect(seen).toMatchObject({
      failing: true,
      lastFailed: { name: names[4] },
      waiting: 2,
      behind: { newest: names[3], segments: 2 },
    });
    expect(seen.fullInSeconds).toBeGreaterThan(0);
    const { stdout } = await pgsilo(['wal', 'status', file], at);
    expect(stdout).toContain(`archiving fails: ${names[4]}`);
    expect(stdout).toContain('the disk of pg_wal is full in about');

    await server.query('postgres', `CREATE ROLE looker LOGIN REPLICATION PASSWORD 'of-looker'`);
    const little = join(folder, 'little.yaml');
    const url = server.url.replace(/\/\/[^@]*@/, '//looker:of-looker@');
    writeFileSync(
      little,
      `pipeline: files\nsource: { use: basebackup, connection: ${JSON.stringify(url)} }\nsinks: [{ use: local, path: store }]\n`,
    );
    const by = await pgsilo(['wal', 'status', little], at);
    expect(by.stdout).toContain('the role needs pg_monitor');
    expect(by.stdout).toContain('when the disk of pg_wal will be full is not known');

    writeFileSync(open, '');
    await push(first!);
    await push(second!);
    await server.query('postgres', 'SELECT pg_switch_wal()');
    await until(
      'the archiver has caught up',
      async () => {
        const done = readdirSync(join(server.dataFolder, 'pg_wal/archive_status'));
        return !done.some((name) => name.endsWith('.ready'));
      },
      70,
    );
    await pgsiloOk(['wal', 'status', file], at);
  });

  it('tells what lies in the sinks also when the server does not answer', async () => {
    await server.kill();
    const { json } = await pgsiloOk(['wal', 'status', file, '--json'], at);
    expect(json()).toMatchObject({
      segmentBytes: 2 ** 20,
      server: { error: { code: 'source.unreachable' } },
      sinks: [{ windows: [{ last: names[5] }] }],
    });
    mkdirSync(join(folder, 'store/files/wal/00000001/strange'), { recursive: true });
    const logical = join(folder, 'logical.yaml');
    writeFileSync(
      logical,
      `pipeline: l\nsource: { use: dumpall, connection: "postgres://x/y" }\nsinks: [{ use: local, path: store }]\n`,
    );
    const refused = await pgsilo(['wal', 'status', logical], at);
    expect([refused.exit, refused.stderr]).toEqual([2, expect.stringContaining('usage.invalid')]);
  });
});
