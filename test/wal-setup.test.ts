import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { folderForServer, serverUser } from '@pgsilo/testkit/postgres';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mayReadCheckout } from './services/checkout.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, until, type TestServer } from './services/server.ts';

// Each stands on those before it.
describe('pgsilo wal setup', { timeout: 180_000 }, () => {
  let folder: string;
  let server: TestServer;
  let at: CallOptions;
  let file: string;

  beforeAll(async () => {
    folder = folderForServer();
    server = await startServer({ settings: { wal_level: 'minimal', max_wal_senders: 0 } });
    const store = join(folder, 'store');
    mkdirSync(store);
    // What sh, PostgreSQL's settings and PostgreSQL's percent signs would each read as something else.
    const odd = join(folder, String.raw`it's "%p" $HOME \n %%`);
    mkdirSync(odd, { mode: 0o755 });
    file = join(odd, 'files.yaml');
    writePipeline(file, server.url);
    const identity = serverUser();
    if (identity) for (const path of [folder, store]) chownSync(path, identity.uid, identity.gid);
    at = { cwd: odd, env: {} };
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const writePipeline = (path: string, url: string): void => {
    const [bin, connection, store] = [server.bin, url, join(folder, 'store')].map((each) =>
      JSON.stringify(each),
    );
    writeFileSync(
      path,
      `pipeline: files\nsource: { use: basebackup, connection: ${connection}, bin: ${bin} }\nsinks: [{ use: local, path: ${store} }]\n`,
    );
    chmodSync(path, 0o644);
  };
  const written = (): string => readFileSync(join(server.dataFolder, 'postgresql.auto.conf'), 'utf8');
  const show = async (name: string): Promise<string> => {
    const [row] = await server.query(
      'postgres',
      'SELECT reset_val AS value FROM pg_settings WHERE name = $1',
      [name],
    );
    return row!['value'] as string;
  };

  it('shows what would be set, and changes nothing', async () => {
    const before = written();
    const { stdout, all } = await pgsiloOk(['wal', 'setup', 'files.yaml'], at);
    expect(stdout).toMatch(/# now: minimal; takes a restart\nwal_level = 'replica'/);
    expect(stdout).toMatch(/# now: off; takes a restart\narchive_mode = 'on'/);
    expect(stdout).toMatch(/# now: empty\narchive_command = '/);
    expect(stdout).toMatch(/# now: 0\narchive_timeout = '60s'/);
    expect(stdout).toMatch(/\nrestore_command = '.*exit 126; }'/);
    expect(all).not.toContain(server.password);
    expect(written()).toBe(before);
  });

  it('sets it with --apply, and says what waits for a restart', async () => {
    await server.query('postgres', `CREATE ROLE plain LOGIN PASSWORD 'of-plain'`);
    const plain = join(folder, 'plain.yaml');
    writePipeline(plain, server.url.replace(/\/\/[^@]*@/, '//plain:of-plain@'));
    const denied = await pgsilo(['wal', 'setup', plain, '--apply'], at);
    expect([denied.exit, denied.stderr]).toEqual([3, expect.stringContaining('source.denied')]);

    const set = await pgsiloOk(['wal', 'setup', 'files.yaml', '--apply', '--json'], at);
    const { settings, restart, applied } = set.json();
    expect([applied, restart.toSorted()]).toEqual([true, ['archive_mode', 'wal_level']]);
    expect(await show('archive_command')).toBe(
      settings.find(({ name }: { name: string }) => name === 'archive_command').wanted,
    );
    expect(await show('archive_timeout')).toBe('60');
    const said = await pgsiloOk(['wal', 'setup', 'files.yaml', '--apply'], at);
    expect(said.stdout).toContain('Restart the server: ');
    expect(written()).not.toContain(server.password);
  });

  it.skipIf(!mayReadCheckout())('has the server archive by it after the restart', async () => {
    await server.kill();
    await server.start();
    await server.query('postgres', 'CREATE TABLE t AS SELECT 1 AS i');
    const [row] = await server.query('postgres', `SELECT pg_walfile_name(pg_switch_wal()) AS name`);
    await until(
      'the segment is archived',
      async () => {
        const [{ name, failed } = {}] = await server.query(
          'postgres',
          'SELECT last_archived_wal AS name, last_failed_wal AS failed FROM pg_stat_archiver',
        );
        if (failed) throw new Error(`archiving fails:\n${readFileSync(server.logFile, 'utf8').slice(-3000)}`);
        return (name ?? '') >= row!['name'];
      },
      60,
    );
    const status = await pgsiloOk(['wal', 'status', 'files.yaml', '--json'], at);
    expect(status.json().sinks[0].timelines[0].last >= row!['name']).toBe(true);
    const again = await pgsiloOk(['wal', 'setup', 'files.yaml'], at);
    expect(again.stdout).toContain('The server is set up like this.');
  });

  it('replaces its own earlier command, and another one only with --force', async () => {
    const own = await show('archive_command');
    const set = async (name: string, value: string): Promise<void> => {
      await server.query('postgres', `ALTER SYSTEM SET ${name} = '${value.replaceAll("'", "''")}'`);
      await server.query('postgres', 'SELECT pg_reload_conf()');
      await until('it is read', async () => (await show(name)) === value);
    };
    // As an older Node and pgsilo wrote it.
    await set('archive_command', own.replace(/^.* \|\| '[^']*' '[^']*'/, `'/opt/node' '/opt/pgsilo'`));
    await pgsiloOk(['wal', 'setup', 'files.yaml', '--apply'], at);
    expect(await show('archive_command')).toBe(own);

    for (const other of ['cp %p /mnt/archive/%f', own.replaceAll('files.yaml', 'others.yaml')]) {
      await set('archive_command', other);
      await set('archive_timeout', '30');
      const refused = await pgsilo(['wal', 'setup', 'files.yaml', '--apply'], at);
      expect([refused.exit, refused.stderr]).toEqual([2, expect.stringContaining('archives in another way')]);
      expect(await show('archive_command')).toBe(other);
      const shown = await pgsiloOk(['wal', 'setup', 'files.yaml'], at);
      expect(shown.stdout).toContain('without --force');
      await pgsiloOk(['wal', 'setup', 'files.yaml', '--apply', '--force'], at);
      // What somebody has chosen stays.
      expect([await show('archive_command'), await show('archive_timeout')]).toEqual([own, '30']);
    }
  });

  it('says when the server does not go by what was set', async () => {
    await server.query('postgres', `ALTER SYSTEM SET archive_command = ''`);
    await server.query('postgres', 'SELECT pg_reload_conf()');
    await until('it is read', async () => (await show('archive_command')) === '');
    // After a mistake like this the server reads none of its files.
    appendFileSync(join(server.dataFolder, 'postgresql.conf'), `\n= is no setting\n`);
    const ignored = await pgsilo(['wal', 'setup', 'files.yaml', '--apply'], at);
    expect([ignored.exit, ignored.stderr]).toEqual([
      1,
      expect.stringContaining('does not go by archive_command'),
    ]);

    const configuration = join(server.dataFolder, 'postgresql.conf');
    writeFileSync(configuration, readFileSync(configuration, 'utf8').replace('= is no setting', ''));
    await server.query('postgres', `ALTER SYSTEM RESET ALL`);
    const before = written();
    await server.kill();
    const { dataFolder, port, bin } = server;
    const process = spawn(
      join(bin, 'postgres'),
      ['-D', dataFolder, '-p', `${port}`, '-c', 'archive_mode=off'],
      {
        ...serverUser(),
        cwd: '/',
        stdio: 'ignore',
      },
    );
    const ended = once(process, 'exit');
    try {
      await until('it answers', () => server.query('postgres', 'SELECT 1').catch(() => undefined));
      const fixed = await pgsilo(['wal', 'setup', 'files.yaml', '--apply'], at);
      expect([fixed.exit, fixed.stderr]).toEqual([
        2,
        expect.stringContaining('archive_mode was given to the server on its command line'),
      ]);
      expect(written()).toBe(before);
    } finally {
      process.kill('SIGQUIT');
      await ended;
    }
  });
});
