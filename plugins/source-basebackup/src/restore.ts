import { join } from 'node:path';
import { writeFile, chown } from 'node:fs/promises';
import {
  describePoint, PgsiloError, throwIfAborted, toPgsiloError, type Context, type RecoveryTarget, type Restoration, type RestoreOutcome, type RestoreRequest,
} from '@pgsilo/plugin'; // prettier-ignore
import { findServerPrograms, majorVersion, plural, type Tool } from '@pgsilo/postgres';
import { readClusterFile, type ClusterFile } from './cluster-file.ts';
import { flush } from './flush.ts';
import { lockDown, lockTitle } from './lock-down.ts';
import { planLog } from './log-plan.ts';
import { prepareDatabaseRestore } from './past-database.ts';
import { placeAll } from './place-all.ts';
import { FilePlacer, pathIn, type Places } from './place-files.ts';
import { needsOf, planOf, tars } from './restore-plan.ts';
import { parseServerManifest, readServerManifest, requireListed } from './server-manifest.ts';
import type { SourceSetup } from './setup.ts';
import { readServerTexts } from './server-texts.ts';
import { requireStartable, startRestored } from './start-restored.ts';
import {
  emptyFolder, lookAtFolder, makeFolder, mapTablespaces, requireApart, requireRoom, type TargetFolder,
} from './target-folders.ts'; // prettier-ignore
import { needsLog } from './target-settings.ts';
import { requireLog } from './wal-range.ts';
import { findVerifier, verifyFiles } from './verify-program.ts';

/** Looks at a backup and at folders, and says what putting the files there would do. See `Source.restore`. */
export async function prepareRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  const { backup } = request;
  if (request.database !== undefined)
    return prepareDatabaseRestore(setup, request, request.database, context);
  const to = requireFolder(request);
  const cluster = await readClusterFile(backup);
  const data = await lookAtFolder(to);
  const mapped = mapTablespaces(cluster.tablespaces, request.tablespaces ?? {});
  const tablespaces = new Map<string, TargetFolder>();
  for (const [{ oid }, path] of mapped) tablespaces.set(oid, await lookAtFolder(path));
  const places: Places = { data, tablespaces };
  requireApart([data, ...tablespaces.values()]);
  const needs = needsOf(backup.artifacts, places);
  requireRoom(needs);
  const log = request.recovery && (await planLog(cluster.wal, request.recovery));
  const { version } = backup.facts.server;
  const verifier = await findVerifier(setup, version, context.signal);
  if (request.start) requireStartable(data);
  const bin = request.start
    ? await findServerPrograms(majorVersion(version) ?? 0, setup.options.bin, context.signal)
    : undefined;
  return {
    plan: planOf(request, { cluster, places, needs, log, verifier }),
    async run() {
      const outcome = await restore(request, cluster, places, verifier, context);
      return bin === undefined ? outcome : started(request, { bin, cluster, data, outcome }, context);
    },
    close: async () => undefined,
  };
}

function requireFolder({ to, toServer, tables, replace, dump }: RestoreRequest): string {
  const refuse = (message: string, hint: string): never => {
    throw new PgsiloError('restore.refused', message, { hint });
  };
  if (tables)
    refuse(
      'single tables cannot be picked out of the files of a server',
      'Restore the files into a folder, start the server, and pg_dump what you need.',
    );
  if (replace)
    refuse(
      'the files of a live server are not replaced',
      'Restore them into a folder (--to), look at that server, and let it take over.',
    );
  if (toServer !== undefined)
    refuse('files of a server cannot be put into a running one', 'Name a folder instead: --to DIR.');
  if (dump !== undefined)
    refuse(
      '--dump takes one database out of the files of a server',
      'Name it in the place of the unit, or with --database.',
    );
  return to === undefined
    ? refuse('where the files are to go is not said', 'Name a folder that is empty or not there: --to DIR.')
    : to;
}

async function restore(
  request: RestoreRequest,
  cluster: ClusterFile,
  places: Places,
  verifier: Tool | string,
  context: Context,
): Promise<RestoreOutcome> {
  const { backup, step, recovery } = request;
  const folders = [places.data, ...places.tablespaces.values()];
  try {
    const list = await readServerManifest(backup);
    const listed = parseServerManifest(list);
    const placer = new FilePlacer(places, context.signal);
    await step('put the files in their places', async () => {
      for (const folder of folders) await makeFolder(folder);
      await placeAll(placer, tars(backup.artifacts), request.jobs);
    });
    await step('compare them with the list of the server', async () => {
      requireListed(listed, placer.sizes);
      requireLog(cluster.wal, placer.sizes);
    });
    const copy = join(places.data.path, 'backup_manifest');
    await writeFile(copy, list, { mode: 0o600, flag: 'wx' });
    const { owner } = places.data;
    if (owner) await chown(copy, owner.uid, owner.gid);
    if (typeof verifier !== 'string')
      await step('pg_verifybackup', () => verifyFiles(verifier, places.data.path, context));
    const warnings = await step('lock the server down', async () =>
      lockDown(
        places.data,
        placer.sizes,
        cluster.configuration,
        await readServerTexts(backup, context),
        recovery,
      ),
    );
    await step('make the files durable', () => flush(writtenFiles(places, placer), context.signal));
    return outcomeOf(placer, places, verifier, warnings, cluster, recovery);
  } catch (error) {
    for (const folder of folders) await emptyFolder(folder).catch(() => undefined);
    throwIfAborted(context.signal);
    throw toPgsiloError(error, 'restore.failed');
  }
}

interface Restored {
  readonly bin: string;
  readonly cluster: ClusterFile;
  readonly data: TargetFolder;
  readonly outcome: RestoreOutcome;
}

/** The files are whole and stay, whatever becomes of the server. */
async function started(
  { step, recovery }: RestoreRequest,
  { bin, cluster, data, outcome }: Restored,
  context: Context,
): Promise<RestoreOutcome> {
  const { path, owner } = data;
  const { segmentBytes } = cluster.wal;
  const server = await step('start the server and recover', () =>
    startRestored({ bin, data: path, owner, recovery, segmentBytes }, context),
  );
  const next = [`To end it: pg_ctl stop -D ${path}`, ...outcome.next.slice(-1)];
  return { ...outcome, server, next };
}

function* writtenFiles({ data, tablespaces }: Places, { sizes }: FilePlacer): Generator<Buffer> {
  for (const path of sizes.keys()) {
    const [, oid, rest] = /^pg_tblspc\/(\d+)\/(.*)$/s.exec(path) ?? [];
    const folder = oid === undefined ? undefined : tablespaces.get(oid);
    yield folder ? pathIn(folder, rest!) : pathIn(data, path);
  }
  for (const name of ['backup_manifest', 'postgresql.auto.conf', 'recovery.signal']) yield pathIn(data, name);
}

function outcomeOf(
  { sizes }: FilePlacer,
  { data }: Places,
  verifier: Tool | string,
  warnings: readonly string[],
  { wal }: ClusterFile,
  recovery: RecoveryTarget | undefined,
): RestoreOutcome {
  const { path, owner } = data;
  const files = plural(sizes.size, 'file');
  const mine = owner?.uid === 0;
  return {
    target: path,
    compared:
      typeof verifier === 'string'
        ? `${files} with the server's list, by name and size`
        : `${files} with the server's list, and their checksums by pg_verifybackup ${verifier.version}`,
    warnings: [
      ...warnings,
      ...(typeof verifier === 'string' ? [`checksums were not compared: ${verifier}`] : []),
      ...(mine ? ['the files belong to root, and PostgreSQL does not run as root'] : []),
    ],
    next: [
      ...(mine ? [`Give the files to the user of the server: chown -R postgres ${path}`] : []),
      `Start it: pg_ctl start -w -D ${path}; it recovers to ${recovery ? describePoint(recovery.point) : `${wal.stop}, the end of the backup`}, and is reached by psql -h ${path}`,
      ...(needsLog(recovery)
        ? [
            'It shows an older state while pg_is_in_recovery() is true; its log says where it stopped. What the pipeline file takes from the environment must be in that of the server',
          ]
        : []),
      `To let it take over: remove from ${join(path, 'postgresql.auto.conf')} the line "${lockTitle.slice(0, 45)}…" and all below, restart it, and back it up at once`,
    ],
  };
}
