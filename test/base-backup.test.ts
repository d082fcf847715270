import { folderForServer, serveFolder } from '@pgsilo/testkit/postgres';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { availablePostgres, installPostgres } from './services/postgres.ts';
import { startServer, type TestServer } from './services/server.ts';

const system = (await availablePostgres())[0]!;
const wanted = [system, await installPostgres(17), await installPostgres(18)];
const versions = wanted.filter(({ major }, index) => index === 0 || major !== system.major);
const example = join(import.meta.dirname, '..', 'examples', 'base-backup');
const restore = ['restore', 'pipeline.yaml', '@cluster'];

interface Scene {
  readonly server: TestServer;
  readonly at: CallOptions;
  /** Where a restore may put files for a server. */
  readonly folder: string;
}

/** The example, with a server of the version and two databases. */
async function withScene(bin: string, work: (scene: Scene) => Promise<void>): Promise<void> {
  const server = await startServer({ bin });
  const folder = folderForServer();
  try {
    for (const name of ['nostromo', 'sulaco']) {
      await server.query('postgres', `CREATE DATABASE ${name}`);
      await server.query(name, `CREATE TABLE crew AS SELECT i FROM generate_series(1, 500) i`);
    }
    const cwd = join(server.folder, 'example');
    cpSync(example, cwd, { recursive: true });
    const file = join(cwd, 'pipeline.yaml');
    // Programs of several versions are on this machine.
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace(/^  maxRate/m, `  bin: ${JSON.stringify(bin)}\n$&`),
    );
    const at = { cwd, env: { SERVER_URL: server.url, SERVER_BACKUPS: join(server.folder, 'backups') } };
    await work({ server, at, folder });
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Backs up, loses a table, restores, starts what was restored and counts the table's rows there. */
async function thereAndBack({ server, at, folder }: Scene): Promise<void> {
  const to = join(folder, 'restored');
  await pgsiloOk(['backup', 'pipeline.yaml'], at);
  await server.query('nostromo', 'DROP TABLE crew');
  const restored = await pgsiloOk([...restore, '--to', to, '--json'], at);
  const compared = expect.stringContaining('pg_verifybackup');
  expect(restored.json()).toMatchObject({ target: to, compared, warnings: [] });
  const served = await serveFolder(to, server.bin);
  try {
    const { user, password } = server;
    const client = new pg.Client({ host: to, port: 5432, user, password, database: 'nostromo' });
    await client.connect();
    const { rows } = await client.query(
      `SELECT count(*)::int AS crew, current_setting('archive_mode') AS archiving FROM crew`,
    );
    await client.end();
    expect(rows).toEqual([{ crew: 500, archiving: 'off' }]);
  } finally {
    await served.stop();
  }
}

describe('examples/base-backup', { timeout: 180_000 }, () => {
  it.each(versions.filter((one) => 'bin' in one))('gives a server of PostgreSQL $major back', ({ bin }) =>
    withScene(bin, thereAndBack),
  );

  it('is sound, says whose the artifacts are, and refuses what cannot be restored', () =>
    withScene(system.bin, async ({ server, at, folder }) => {
      const { checks } = (await pgsiloOk(['doctor', 'pipeline.yaml', '--json'], at)).json();
      expect(checks.filter(({ status }: { status: string }) => status === 'failed')).toEqual([]);
      await pgsiloOk(['backup', 'pipeline.yaml'], at);
      const verified = await pgsiloOk(['verify', 'pipeline.yaml', '--level', 'decode'], at);
      expect(verified.all).toMatch(/5 databases, [\d,]+ files, write-ahead log from/);
      const { manifest, byHand } = (
        await pgsiloOk(['show', 'pipeline.yaml', '@cluster', '--json'], at)
      ).json();
      const [row] = await server.query(
        'postgres',
        `SELECT oid::int FROM pg_database WHERE datname = 'sulaco'`,
      );
      const part = { name: 'sulaco', oid: row!['oid'], artifacts: [`database-${row!['oid']}.tar`] };
      expect(manifest.parts).toContainEqual(part);
      expect(byHand.join('\n')).toContain('tar --extract --directory=NEW_FOLDER');
      const refusals: [string[], string][] = [
        [[], '--to DIR'],
        [['--to', join(folder, 'a'), '--tablespace', '/a=/b'], 'no tablespace of the backup is in "/a"'],
        [['--to', join(folder, 'a'), '--tablespace', '/a'], 'does not name two folders'],
      ];
      for (const [parameters, message] of refusals)
        expect((await pgsilo([...restore, ...parameters], at)).stderr).toContain(message);
    }));
});
