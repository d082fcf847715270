import { execFile } from 'node:child_process';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PgsiloError, throwIfAborted, type Context } from '@pgsilo/plugin';
import {
  runServer,
  serverEnvironment,
  serverSuperuser,
  type RunningServer,
  type ServerPlace,
} from './run-server.ts';
import type { ServerUser } from './server-user.ts';

const run = promisify(execFile);
const startTimeout = 60_000;

/**
 * Nothing of it survives, so nothing is flushed. Nothing runs that was not asked for: no archiving, no autovacuum, no replication, no preloaded library, no port.
 * Locks: the schema of a database with tens of thousands of tables is dumped in one transaction.
 */
const settings: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  archive_mode: 'off',
  autovacuum: 'off',
  max_logical_replication_workers: '0',
  max_connections: '200',
  max_locks_per_transaction: '512',
  maintenance_work_mem: '128MB',
  checkpoint_timeout: '30min',
  shared_preload_libraries: '',
  jit: 'off',
  logging_collector: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

const hint =
  'Put it right, or name a server for copies in the pipeline file: scratch: { connection: "${env:SCRATCH_URL}" }.';

/** Starts a new, empty one. What killed processes left in `root` is removed first. */
export function startOwnServer(place: ServerPlace, context: Context): Promise<RunningServer> {
  return runServer(
    place,
    {
      provide: ({ bin, cluster, user }) => initialise(bin, cluster, user, context.signal),
      startTimeout,
      notStarted: (words) =>
        new PgsiloError('source.failed', `the server to restore into did not start: ${words}`, { hint }),
    },
    context,
  );
}

async function initialise(
  bin: string,
  cluster: string,
  user: ServerUser | undefined,
  signal: AbortSignal,
): Promise<void> {
  const data = join(cluster, 'data');
  const args = [
    `--pgdata=${data}`,
    `--username=${serverSuperuser}`,
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
    '--no-instructions',
  ];
  const identity = user ? { uid: user.uid, gid: user.gid } : {};
  try {
    await run(join(bin, 'initdb'), args, { ...identity, cwd: cluster, env: serverEnvironment, signal });
  } catch (error) {
    throwIfAborted(signal);
    const said = String((error as { stderr?: unknown }).stderr ?? '').trim() || (error as Error).message;
    throw new PgsiloError('source.tool-missing', `initdb made no server to restore into: ${said}`, {
      cause: error,
      hint,
    });
  }
  const lines = Object.entries({ ...settings, unix_socket_directories: cluster }).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`,
  );
  await appendFile(join(data, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
  // Who can reach the socket is told by its folder, which no other user can enter.
  await writeFile(join(data, 'pg_hba.conf'), 'local all all trust\n');
}
