import { execFileSync } from 'node:child_process';
import {
  chownSync,
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testContext } from '@pgsilo/testkit';
import {
  folderForServer, serveFolder, serverUser, startPostgres, type ThrowawayPostgres,
} from '@pgsilo/testkit/postgres'; // prettier-ignore
import { backUp, contentOf, removeBackups, restore, sourceOf, sql, type TestBackup } from './cluster.ts';

/** A name that would act in a shell, a path, a format or a line. */
const hostile = `a"b'; $(touch x) ../%s\n=é`;
const quoted = `"${hostile.replaceAll('"', '""')}"`;

let server: ThrowawayPostgres;
let folder: string;
/** Folder of a tablespace. */
let place: string;

beforeAll(async () => {
  folder = folderForServer();
  place = folderOf('ta ble=\\é $(x)');
  server = await startPostgres({ initdb: ['--data-checksums'], settings: { autovacuum: 'off' } });
  await sql(
    server,
    'postgres',
    `CREATE DATABASE acme`,
    `CREATE DATABASE ${quoted}`,
    `CREATE TABLESPACE fast LOCATION '${place}'`,
    `CREATE DATABASE elsewhere TABLESPACE fast`,
  );
  for (const database of ['acme', hostile, 'elsewhere'])
    await sql(
      server,
      database,
      `CREATE SCHEMA tenant_1`,
      `CREATE TABLE tenant_1.orders AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 20000) g`,
    );
  await sql(server, 'acme', `CREATE TABLE public.moved TABLESPACE fast AS SELECT 1 AS one`);
});
afterAll(async () => {
  await server.stop();
  await removeBackups();
  rmSync(folder, { recursive: true, force: true });
});

function folderOf(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  const identity = serverUser();
  if (identity) chownSync(path, identity.uid, identity.gid);
  return path;
}

async function oidOf(database: string): Promise<string> {
  const [row] = await sql(
    server,
    'postgres',
    `SELECT oid::text FROM pg_database WHERE datname = E'${database.replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`,
  );
  return row!['oid']!;
}

function json(backup: TestBackup, name: string): Promise<Record<string, never>> {
  return backup
    .artifact(name)
    .spool()
    .then((path) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, never>);
}

// Each stands on those before it.
describe('a server of several databases and a tablespace', () => {
  let backup: TestBackup;
  let before: Record<string, readonly string[]>;

  test('is backed up as one artifact for each database and place, with what the files alone do not tell', async () => {
    before = await contentOf(server);
    backup = await backUp(server);
    const { facts } = backup;
    const [acme, odd, other] = [await oidOf('acme'), await oidOf(hostile), await oidOf('elsewhere')];
    const fast = (
      await sql(server, 'postgres', `SELECT oid::text FROM pg_tablespace WHERE spcname = 'fast'`)
    )[0]!['oid']!;
    expect(facts).toMatchObject({
      status: 'good',
      tool: expect.stringMatching(/^BASE_BACKUP 1\d/),
      about: { checksums: 'verified by the server', tablespaces: 1, archiver: { failed_count: 0 } },
    });
    const parts = new Map(
      facts.parts!.map(({ name, oid, artifacts }) => [name, [String(oid), ...artifacts]]),
    );
    expect(parts.get('acme')).toEqual([
      acme,
      `database-${acme}-tablespace-${fast}.tar`,
      `database-${acme}.tar`,
    ]);
    expect(parts.get(hostile)).toEqual([odd, `database-${odd}.tar`]);
    expect(parts.get('elsewhere')).toEqual([other, `database-${other}-tablespace-${fast}.tar`]);
    expect([...parts.keys()]).toEqual(expect.arrayContaining(['postgres', 'template0', 'template1']));
    const shared = backup.artifacts.map(({ name }) => name).filter((name) => !name.startsWith('database-'));
    expect(shared).toEqual(
      expect.arrayContaining([
        'server-files.tar',
        `tablespace-${fast}.0001.tar`,
        'base.0001.tar',
        'wal.tar',
        'backup-manifest.json',
        'cluster.json',
      ]),
    );
    const { databases, tablespaces, configuration } = await json(backup, 'cluster.json');
    expect(databases).toContainEqual({
      oid: odd,
      name: hostile,
      tablespace: '1663',
      schemas: ['public', 'tenant_1'],
    });
    expect(tablespaces).toEqual([{ oid: fast, name: 'fast', location: place }]);
    expect(configuration).toMatchObject({
      configFile: join(server.dataFolder, 'postgresql.conf'),
      settings: { max_connections: '100' },
    });
    expect(
      await sql(server, 'postgres', `SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'pgsilo%'`),
    ).toEqual([]);
  });

  test('is found whole by inspect, and not when a file, a database, the log or the list is missing', async () => {
    const source = await sourceOf(server);
    const context = testContext();
    const inspect = (one: TestBackup): Promise<string> =>
      source.inspect!(one, context).then(({ summary }) => summary);
    expect(await inspect(backup)).toMatch(/^6 databases, 1 tablespace, [\d,]+ files, write-ahead log from/);
    const acme = backup.facts.parts!.find(({ name }) => name === 'acme')!.artifacts[1]!;
    for (const name of [acme, 'wal.tar', 'base.0001.tar', 'backup-manifest.json', 'cluster.json'])
      await expect(backup.with(name, undefined).then(inspect)).rejects.toMatchObject({
        code: 'source.archive-invalid',
      });
    await context.dispose();
    await source.close();
  });

  test('comes back in a folder, accepted by pg_verifybackup, and starts locked down with the rows that it had', async () => {
    await sql(server, 'acme', 'DELETE FROM tenant_1.orders', 'ALTER SYSTEM SET archive_command = $$exit 0$$');
    const to = join(folder, 'restored');
    const moved = join(folder, 'moved');
    await expect(restore(server, backup, { to })).rejects.toMatchObject({
      code: 'restore.target-not-empty',
    });
    const { compared, target, plan, next, warnings } = await restore(server, backup, {
      to,
      tablespaces: { [place]: moved },
    });
    expect(target).toBe(to);
    expect(warnings).toEqual([]);
    expect(compared).toMatch(/checksums by pg_verifybackup/);
    expect(plan.join('\n')).toContain(
      `Put the files of tablespace fast, which was in ${place} into ${moved}`,
    );
    expect(next.join('\n')).toContain(`pg_ctl start -w -D ${to}`);
    execFileSync(join(server.bin, 'pg_verifybackup'), [to], { stdio: 'pipe' });
    const served = await serveFolder(to, server.bin);
    try {
      const there = { ...server, host: to, port: 5432 };
      expect(await contentOf(there)).toEqual(before);
      const [state] = await sql(
        there,
        'postgres',
        `SELECT current_setting('archive_mode') AS archiving, current_setting('listen_addresses') AS port, pg_is_in_recovery()::text AS recovering,
        (SELECT timeline_id::text FROM pg_control_checkpoint()) AS timeline, (SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast') AS fast`,
      );
      expect(state).toEqual({ archiving: 'off', port: '', recovering: 'false', timeline: '2', fast: moved });
    } finally {
      await served.stop();
    }
    await expect(
      restore(server, backup, { to, tablespaces: { [place]: join(folder, 'third') } }),
    ).rejects.toMatchObject({ code: 'restore.target-not-empty' });
  });

  test('whose settings lie elsewhere comes back with them', async () => {
    const etc = folderOf('etc');
    const write = (name: string, text: string): void => {
      writeFileSync(join(etc, name), text);
      const identity = serverUser();
      if (identity) chownSync(join(etc, name), identity.uid, identity.gid);
    };
    write('hba.conf', `local all @people trust\nhost all,replication all 127.0.0.1/32 trust\n`);
    write('people', 'postgres\n');
    write('ident.conf', '# nobody\n');
    write('more.conf', `work_mem = '7MB'\n`);
    const debian = await startPostgres({ initdb: ['--data-checksums'] });
    await debian.kill();
    for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf'])
      rmSync(join(debian.dataFolder, name));
    write(
      'postgresql.conf',
      `data_directory = '${debian.dataFolder}'\nlisten_addresses = '127.0.0.1'\nport = ${debian.port}\nunix_socket_directories = ''\nhba_file = '${etc}/hba.conf'\nident_file = '${etc}/ident.conf'\nmax_connections = 77\ninclude 'more.conf'\n`,
    );
    const running = await serveFolder(etc, debian.bin);
    try {
      const found = await backUp(debian);
      const files = execFileSync('tar', ['-tf', await found.artifact('server-files.tar').spool()], {
        encoding: 'utf8',
      });
      for (const name of ['hba.conf', 'people', 'ident.conf', 'more.conf', 'postgresql.conf'])
        expect(files).toContain(`${etc.slice(1)}/${name}\n`);
      const to = join(folder, 'from-debian');
      const { warnings } = await restore(debian, found, { to });
      expect(warnings.join('\n')).toMatch(/postgresql.conf lay outside/);
      const served = await serveFolder(to, debian.bin);
      try {
        const [row] = await sql(
          { ...debian, host: to },
          'postgres',
          `SELECT current_setting('work_mem') || current_setting('max_connections') || current_setting('data_directory') AS all`,
        );
        expect(row!['all']).toBe(`7MB77${to}`);
      } finally {
        await served.stop();
      }
    } finally {
      await running.stop();
      await debian.stop();
    }
  });

  test('of a server that is killed in the middle there is no backup, and the error can be tried again', async () => {
    let killed = false;
    const attempt = backUp(server, {
      onChunk: async () => {
        if (killed) return;
        killed = true;
        await server.kill();
      },
    });
    await expect(attempt).rejects.toMatchObject({ code: 'source.unreachable', retryable: true });
    expect(killed).toBe(true);
    await server.start();
    expect((await backUp(server)).facts.status).toBe('good');
  });

  test('of which a page is wrong is damaged, says where, and comes back only as what it is', async () => {
    const [row] = await sql(server, hostile, `SELECT pg_relation_filepath('tenant_1.orders') AS path`);
    await sql(server, hostile, 'CHECKPOINT');
    const file = openSync(join(server.dataFolder, row!['path']!), 'r+');
    writeSync(file, Buffer.from([0x5a]), 0, 1, 3 * 8192 + 4000);
    closeSync(file);
    const damaged = await backUp(server);
    expect(damaged.facts.status).toBe('damaged');
    expect(damaged.facts.about).toMatchObject({
      damage: expect.stringMatching(/checksum/),
      warnings: [expect.stringContaining(row!['path']!)],
    });
    expect(damaged.log.entries.filter(({ level }) => level === 'error')).toHaveLength(1);
    const to = join(folder, 'damaged');
    const { plan } = await restore(server, damaged, {
      to,
      tablespaces: { [place]: join(folder, 'damaged-space') },
    });
    expect(plan[0]).toMatch(/CAREFUL/);
  });
});
