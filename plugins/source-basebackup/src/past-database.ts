import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  describePoint, PgsiloError, throwIfAborted, toPgsiloError, type ArtifactView, type Context, type Restoration, type RestoreOutcome, type RestoreRequest,
} from '@pgsilo/plugin'; // prettier-ignore
import {
  findTool, majorVersion, plural, runServer, showName, type DataPlace, type RunningServer, type Tool,
} from '@pgsilo/postgres'; // prettier-ignore
import { chooseFiles, type ChosenFiles } from './chosen-files.ts';
import { readClusterFile, type ClusterFile } from './cluster-file.ts';
import { dumpPast, refuseFile, type DumpedDatabase, type DumpTools } from './dump-past.ts';
import { LogFeed } from './log-feed.ts';
import { planLog, sayRoom, type LogPlan } from './log-plan.ts';
import { fillPast } from './past-server.ts';
import { notRecovered, readRecovery } from './recovery-log.ts';
import type { SourceSetup } from './setup.ts';
import { megabytes } from './target-folders.ts';
import { needsLog } from './target-settings.ts';

/** Prepares to bring back one database of a whole server as it was at a moment: in a server of our own that holds only what it takes. Nothing that is live is touched. */
export async function prepareDatabaseRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  name: string,
  context: Context,
): Promise<Restoration> {
  const { backup } = request;
  const file = requireDump(request);
  await refuseFile(file);
  const cluster = await readClusterFile(backup);
  const chosen = chooseFiles(backup, cluster, name);
  const major = majorVersion(backup.facts.server.version) ?? 0;
  const tools = {
    dump: await findTool('pg_dump', major, setup.programs, context.signal),
    restore: await findTool('pg_restore', major, setup.programs, context.signal),
  };
  const freeBytes = await requireRoomFor(request, chosen);
  const log = request.recovery && (await planLog(cluster.wal, request.recovery));
  return {
    plan: planOf(request, { cluster, chosen, tool: tools.dump, log, freeBytes }),
    run: () => bringBack({ setup, request, cluster, chosen, tools, file, major, context }),
    close: async () => undefined,
  };
}

function requireDump({ dump, to, toServer, replace, tables, start, scratch }: RestoreRequest): string {
  const refuse = (message: string, hint: string): never => {
    throw new PgsiloError('restore.refused', message, { hint });
  };
  if (start)
    return refuse(
      '--start leaves a whole server running, and a database of the past is written into a file',
      'Leave it out; or restore the server: @cluster --to DIR --start.',
    );
  if (to !== undefined || toServer !== undefined || replace || tables || dump === undefined)
    return refuse(
      'a database of the past is written into a file',
      'Name one that is not there: --dump FILE; then pg_restore puts it, or some of its tables, into any server.',
    );
  return scratch ? dump : refuse('there is no folder for the server that it takes', 'Set scratch: to one.');
}

function bytesOf(artifacts: readonly ArtifactView[]): number {
  return artifacts.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function requireRoomFor(
  { scratch, dump }: RestoreRequest,
  { artifacts }: ChosenFiles,
): Promise<number> {
  const needed = bytesOf(artifacts);
  const { bavail, bsize } = await statfs(scratch!.folder).catch(() => statfs(dirname(dump!)));
  if (needed > bavail * bsize)
    throw new PgsiloError(
      'restore.refused',
      `the disk of ${scratch!.folder} has ${megabytes(bavail * bsize)} left, and the files take ${megabytes(needed)}, the write-ahead log not counted`,
      { hint: 'Make room, or set scratch: to a folder on another disk.' },
    );
  return bavail * bsize;
}

interface Findings {
  readonly cluster: ClusterFile;
  readonly chosen: ChosenFiles;
  readonly tool: Tool;
  readonly log: LogPlan | undefined;
  readonly freeBytes: number;
}

function planOf(
  { backup, recovery, dump, scratch }: RestoreRequest,
  { cluster, chosen, tool, log, freeBytes }: Findings,
): readonly string[] {
  const { database, leftOut, artifacts } = chosen;
  const to = recovery ? describePoint(recovery.point) : `${cluster.wal.stop}, the end of the backup`;
  return [
    `Fetch ${megabytes(bytesOf(artifacts))} (before compression) of ${megabytes(bytesOf(backup.artifacts))}: what all databases share, and ${showName(database.name)}; ${plural(leftOut.length, 'database')} left out`,
    `Start a server from it in ${scratch!.folder}, locked down, and have it recover to ${to}`,
    ...(log?.lines ?? []),
    `${sayRoom(bytesOf(artifacts), log?.bytes ?? 0, freeBytes, `the disk of ${scratch!.folder}`)}${log ? '. Replayed is what all databases wrote, those left out too' : ''}`,
    `Dump ${showName(database.name)} with ${tool.name} ${tool.version} into ${dump!}, a new file, and read it to its end`,
    'Remove that server. Nothing that is live is touched',
  ];
}

interface Work {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly cluster: ClusterFile;
  readonly chosen: ChosenFiles;
  readonly tools: DumpTools;
  readonly file: string;
  readonly major: number;
  readonly context: Context;
}

async function bringBack(work: Work): Promise<RestoreOutcome> {
  const { request, chosen, tools, file, context } = work;
  const { recovery, step } = request;
  const feed: { log?: LogFeed } = {};
  let server: RunningServer | undefined;
  try {
    server = await step('fetch the files and recover', () => recover(work, feed));
    const recovered = readRecovery(await server.log(), chosen.database.oid);
    const dumped: DumpedDatabase = await step('dump the database', () =>
      dumpPast(
        { server: server!, database: chosen.database.name, tools, file, user: work.setup.settings.user },
        context,
      ),
    );
    const brought = feed.log ? `, with ${plural(feed.log.files, 'file')} of write-ahead log` : '';
    return {
      target: file,
      compared: `${plural(dumped.tables, 'table')}; pg_restore read the archive to its end`,
      warnings: [],
      next: [
        `It is as it was ${recovered ?? (recovery ? `at ${describePoint(recovery.point)}` : 'at the end of the backup')}${brought}`,
        `Put it beside the live one: createdb NAME; pg_restore --exit-on-error -d NAME ${file}`,
      ],
    };
  } catch (error) {
    throwIfAborted(context.signal);
    throw toPgsiloError(error, 'restore.failed');
  } finally {
    await server?.stop();
  }
}

async function recover(
  { setup, request, cluster, chosen, major, context }: Work,
  feed: { log?: LogFeed },
): Promise<RunningServer> {
  const { recovery, scratch } = request;
  const provide = async (place: DataPlace): Promise<void> => {
    await fillPast({ request, cluster, chosen }, place, context);
    if (!needsLog(recovery)) return;
    const { user: owner } = place;
    const { segmentBytes } = cluster.wal;
    const given = { segmentBytes, owner, signal: context.signal };
    feed.log = new LogFeed(await place.makeFolder('log'), recovery, given);
    await feed.log.start();
  };
  const place = { major, root: scratch!.folder, user: scratch!.user, bin: setup.options.bin };
  const notStarted = (words: string): PgsiloError =>
    feed.log?.failure ?? notRecovered(words, recovery?.point);
  // Log of weeks takes hours; the server says by ending that it cannot go on.
  return runServer(
    place,
    { provide, startTimeout: undefined, notStarted, ended: async () => feed.log?.stop() },
    context,
  );
}
