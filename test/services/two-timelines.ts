import { folderForServer, serveFolder } from '@pgsilo/testkit/postgres';
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { serverUser } from '@pgsilo/testkit/postgres';
import { pgsiloOk, type CallOptions } from './pgsilo.ts';
import { startServer, type TestServer } from './server.ts';

/** Database of the rows that say how far a server had come. */
export const application = 'app';
/** What a person may call a restore point. */
export const hostileName = `it's \\ "x" #; %p $(id) ü`;

/** A pipeline with backups and log of two timelines: a server that was promoted, and the old one, which went on. */
export interface TwoTimelines {
  /** Where the pipeline file `files.yaml`, the sink `store` and the folder `scratch` are. */
  readonly folder: string;
  readonly at: CallOptions;
  readonly server: TestServer;
  /** Ids: before everything, and of the old timeline when it was left already. */
  readonly backups: { readonly first: string; readonly second: string };
  /** Position behind the step `one`. */
  readonly lsn: string;
  /** The transaction of the step `two`. */
  readonly xid: string;
  stop(): Promise<void>;
}

/**
 * Steps, in the order in which they were committed: `start`, first backup, `one`, `two`, `three`, restore point, `four`; then on timeline 2 `new`, and on timeline 1 `old`, second backup, `later`.
 */
export async function makeTwoTimelines(bin: string): Promise<TwoTimelines> {
  const folder = folderForServer();
  // Servers of the past run as somebody who owns nothing.
  chmodSync(folder, 0o711);
  const server = await startServer({ bin, settings: { wal_keep_size: '1GB' } });
  const identity = serverUser();
  for (const [name, mode] of [
    ['scratch', 0o711],
    ['store', 0o755],
  ] as const) {
    mkdirSync(join(folder, name), { mode });
    if (identity && name === 'store') chownSync(join(folder, name), identity.uid, identity.gid);
  }
  const file = join(folder, 'files.yaml');
  const [programs, url, store, scratch] = [
    server.bin,
    server.url,
    join(folder, 'store'),
    join(folder, 'scratch'),
  ].map((text) => JSON.stringify(text));
  writeFileSync(
    file,
    `pipeline: files\nsource: { use: basebackup, connection: ${url}, bin: ${programs} }\ntransforms: [{ use: zstd }]\nsinks: [{ use: local, path: ${store} }]\nscratch: ${scratch}\n`,
  );
  const at: CallOptions = { cwd: folder, env: {} };
  const sql = async (text: string): Promise<Record<string, string>> =>
    (await server.query(application, text))[0] ?? {};
  const step = async (name: string): Promise<string> =>
    (await sql(`INSERT INTO steps VALUES ('${name}') RETURNING pg_current_xact_id()::text AS xid`))['xid']!;
  const backup = async (): Promise<string> => {
    await pgsiloOk(['backup', file, '--quiet'], at);
    const { backups } = (await pgsiloOk(['list', file, '@cluster', '--json'], at)).json();
    return backups[0].backup;
  };
  await server.query('postgres', `CREATE DATABASE ${application}`);
  await sql('CREATE TABLE steps (name text)');
  await step('start');
  const first = await backup();
  await step('one');
  const { lsn } = await sql('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  const xid = await step('two');
  await sql('SELECT pg_switch_wal()');
  await step('three');
  await server.query('postgres', 'SELECT pg_create_restore_point($1)', [hostileName]);
  await step('four');
  await sql('SELECT pg_switch_wal()');
  await server.kill();
  const promoted = join(folder, 'promoted');
  execFileSync('cp', ['-a', server.dataFolder, promoted]);
  await server.start();

  await pushAll(await promote(promoted, server), { file, at, of: promoted });
  rmSync(promoted, { recursive: true });
  await step('old');
  const second = await backup();
  await step('later');
  const { name } = await sql('SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS name');
  await sql('SELECT pg_switch_wal()');
  await pushAll(name!, { file, at, of: server.dataFolder });
  if (identity) execFileSync('chown', ['-R', `${identity.uid}:${identity.gid}`, join(folder, 'store')]);
  return {
    folder,
    at,
    server,
    backups: { first, second },
    lsn: lsn!,
    xid,
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Makes a step on timeline 2. @returns its last segment that is full. */
async function promote(data: string, { bin, user, password }: TestServer): Promise<string> {
  appendFileSync(
    join(data, 'postgresql.auto.conf'),
    `\nlisten_addresses = ''\nunix_socket_directories = '${data}'\nrestore_command = 'false'\nport = 5432\n`,
  );
  writeFileSync(join(data, 'recovery.signal'), '');
  rmSync(join(data, 'postmaster.pid'), { force: true });
  const served = await serveFolder(data, bin);
  const client = new pg.Client({ host: data, port: 5432, user, password, database: application });
  try {
    await client.connect();
    await client.query(`INSERT INTO steps VALUES ('new')`);
    const { rows } = await client.query('SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS name');
    await client.query('SELECT pg_switch_wal()');
    return rows[0].name;
  } finally {
    await client.end();
    await served.stop();
  }
}

/** Archives the histories and the full segments of a server, up to one. */
async function pushAll(
  last: string,
  { file, at, of }: { readonly file: string; readonly at: CallOptions; readonly of: string },
): Promise<void> {
  const wal = join(of, 'pg_wal');
  const names = readdirSync(wal).filter(
    (name) => /^[0-9A-F]{8}\.history$/.test(name) || (/^[0-9A-F]{24}$/.test(name) && name <= last),
  );
  for (const name of names.sort()) await pgsiloOk(['wal', 'push', file, join(wal, name), '--quiet'], at);
}

/** Steps in an archive of pg_dump, in their order. */
export function stepsIn(dump: string, bin: string): string[] {
  const text = execFileSync(join(bin, 'pg_restore'), ['--data-only', '--table=steps', '--file=-', dump], {
    encoding: 'utf8',
  });
  return /^COPY .*;\n([^]*?)\\\.$/m.exec(text)?.[1]?.trim().split('\n') ?? [];
}
