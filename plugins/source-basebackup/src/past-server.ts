import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context, RestoreRequest } from '@pgsilo/plugin';
import type { DataPlace } from '@pgsilo/postgres';
import { chosenOf, type ChosenFiles } from './chosen-files.ts';
import type { ClusterFile } from './cluster-file.ts';
import { feedCommand } from './log-feed.ts';
import { placeAll } from './place-all.ts';
import { FilePlacer, type Places } from './place-files.ts';
import { parseServerManifest, readServerManifest, requireListed } from './server-manifest.ts';
import { quoteSetting } from './lock-down.ts';
import type { TargetFolder } from './target-folders.ts';
import { needsLog, targetSettings } from './target-settings.ts';
import { requireLog } from './wal-range.ts';

/**
 * What a server is told on which one database of the past is looked at. It has no port, archives nothing, follows nobody and runs nothing by itself; nothing of it is kept, so nothing is flushed.
 * Limits that recovery compares with the primary's are the primary's (`CheckRequiredParameterValues` in xlogrecovery.c asks for them where a standby takes queries, which this one does not before it is done).
 */
const settings: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  shared_buffers: '128MB',
  huge_pages: 'off',
  fsync: 'off',
  full_page_writes: 'off',
  archive_mode: 'off',
  hot_standby: 'off',
  // Pages of databases that are left out.
  ignore_invalid_pages: 'on',
  autovacuum: 'off',
  max_logical_replication_workers: '0',
  shared_preload_libraries: '',
  jit: 'off',
  logging_collector: 'off',
  log_destination: 'stderr',
  lc_messages: 'C',
  log_timezone: 'UTC',
  timezone: 'UTC',
};
const leastLocks = 512;

export interface PastServer {
  readonly request: RestoreRequest;
  readonly cluster: ClusterFile;
  readonly chosen: ChosenFiles;
}

/** Puts a data directory in its place that holds the chosen files, and recovers when it is started. */
export async function fillPast(
  { request, cluster, chosen }: PastServer,
  place: DataPlace,
  { signal }: Pick<Context, 'signal'>,
): Promise<void> {
  const { backup, recovery } = request;
  const { user, data } = place;
  const own = async (path: string): Promise<void> => {
    if (user) await chown(path, user.uid, user.gid);
  };
  const folder = (path: string): TargetFolder => ({
    path,
    exists: true,
    owner: user ? { uid: user.uid, gid: user.gid } : undefined,
    device: 0,
    freeBytes: 0,
  });
  await mkdir(data, { mode: 0o700 });
  await own(data);
  const tablespaces = new Map<string, TargetFolder>();
  for (const { oid } of cluster.tablespaces)
    tablespaces.set(oid, folder(await place.makeFolder(`tablespace-${oid}`)));
  const places: Places = { data: folder(data), tablespaces };
  const placer = new FilePlacer(places, signal);
  await placeAll(placer, chosen.artifacts, request.jobs);
  const listed = parseServerManifest(await readServerManifest(backup));
  requireListed(chosenOf(listed, chosen), placer.sizes);
  requireLog(cluster.wal, placer.sizes);
  const write = async (path: string, text: string): Promise<void> => {
    await writeFile(join(data, path), text, { mode: 0o600 });
    await own(join(data, path));
  };
  // Recovery writes maps of relations into the folder of whatever database they are of, and does not make it.
  for (const { oid } of chosen.leftOut) {
    const path = join(data, 'base', oid);
    await mkdir(path, { recursive: true, mode: 0o700 });
    await own(path);
    await write(`base/${oid}/PG_VERSION`, `${backup.facts.server.version.split('.')[0]}\n`);
  }
  const { limits } = cluster.configuration;
  const locks = Math.max(leastLocks, Number(limits['max_locks_per_transaction'] ?? 0));
  const all = {
    ...limits,
    ...settings,
    max_locks_per_transaction: String(locks),
    unix_socket_directories: place.cluster,
    restore_command: needsLog(recovery) ? feedCommand('../../log') : 'false',
    ...targetSettings(recovery ?? { point: { kind: 'immediate' }, timeline: 'latest' }),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${quoteSetting(value)}\n`);
  await write('postgresql.conf', lines.join(''));
  await write('postgresql.auto.conf', '');
  // Who can reach the socket is told by its folder, which no other user can enter. Only this database may be connected to: in one whose files are missing a session brings the whole server down.
  await write('pg_hba.conf', `local ${quoteHba(chosen.database.name)} all trust\n`);
  await write('pg_ident.conf', '');
  await rm(join(data, 'standby.signal'), { force: true });
  await write('recovery.signal', '');
}

/** A name as pg_hba.conf wants it; one with the end of a line in it cannot be written there, and all are let in. */
function quoteHba(name: string): string {
  return /[\r\n]/.test(name) ? 'all' : `"${name.replaceAll('"', '""')}"`;
}
