import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isPgsiloError, PgsiloError, throwIfAborted, type Body, type Context } from '@pgsilo/plugin';
import { archiveSubset, readToc, useList, type TocEntry } from '../archive/index.ts';
import { runTool } from '../child.ts';
import { childConnection, type ServerSettings } from '../connection.ts';
import { showName } from '../quoting.ts';
import { findTool, type ClientPrograms, type Tool } from '../tools.ts';
import { LastWords } from './last-words.ts';
import { failsAtFirst, RestoreErrors } from './pg-restore-errors.ts';

export interface PgRestoreJob {
  readonly setup: { readonly programs: ClientPrograms };
  readonly tool: Tool;
  /** The server, narrowed to the address that answered. */
  readonly server: ServerSettings;
  /** Whether that is another server than the pipeline's: the far side of `exec` then has to be told where. */
  readonly elsewhere: boolean;
  readonly serverMajor: number;
  readonly database: string;
  readonly applicationName: string;
  /** Path of the whole archive. */
  readonly archive: string;
  /** Only these, in this order; undefined: everything. */
  readonly entries: readonly TocEntry[] | undefined;
  readonly owner: boolean;
  readonly tablespaces: boolean;
  readonly jobs: number;
}

/** The pg_restore for a server and an archive: it must know the archive's version, which may be a later one than the server's. */
export function findPgRestore(
  setup: { readonly programs: ClientPrograms },
  serverMajor: number,
  dumpMajor: number,
  signal: AbortSignal,
): Promise<Tool> {
  return dumpMajor > serverMajor
    ? findTool('pg_restore', dumpMajor, setup.programs, signal, 'the pg_dump that wrote the archive')
    : findTool('pg_restore', serverMajor, setup.programs, signal);
}

/** How many workers a restore can have. More than one would speak at the same time, and where words are judged they must not mix. */
export function jobsOf(
  setup: { readonly programs: ClientPrograms },
  tool: Tool,
  serverMajor: number,
  wanted: number,
): number {
  return setup.programs.exec || failsAtFirst(tool.major, serverMajor) ? 1 : Math.max(1, wanted);
}

/** Restores into an existing, empty database; stops at the first error. Through `exec` the archive goes through standard input, which takes one job. */
export async function runPgRestore(job: PgRestoreJob, context: Context): Promise<void> {
  const { setup, tool } = job;
  const far = setup.programs.exec !== undefined;
  const address = job.server.addresses[0]!;
  const { execHost, execPort } = setup.programs;
  const place = job.elsewhere
    ? { host: address.host, port: address.port }
    : { host: execHost, port: execPort };
  const connection = childConnection(job.server, job.database, job.applicationName, far ? place : undefined);
  const tolerant = failsAtFirst(tool.major, job.serverMajor);
  const doing = `pg_restore into database ${showName(job.database)}`;
  const jobs = jobsOf(setup, tool, job.serverMajor, job.jobs);
  const options = [
    ...(tolerant ? [] : ['--exit-on-error']),
    '--no-password',
    ...(job.owner ? [] : ['--no-owner', '--no-acl']),
    ...(job.tablespaces ? [] : ['--no-tablespaces']),
  ];
  if (!far && job.entries) options.push(`--use-list=${await writeList(job.entries, context)}`);
  const calls = (far ? [[]] : await sectionsOf(job, jobs)).map((sections) => [
    ...options,
    ...sections,
    ...(far ? [connection.argument] : [`--jobs=${jobs}`, connection.argument, job.archive]),
  ]);
  const runOne =
    (args: readonly string[]) =>
    (onStderr: (line: string) => void, signal: AbortSignal): Promise<unknown> =>
      runTool(tool, args, {
        doing,
        env: connection.env,
        signal,
        onStderr,
        ...(far ? { input: archiveOf(job) } : {}),
      });
  const log = (line: string): void => context.log.warn(line, { database: job.database });
  const words = new LastWords(log);
  try {
    for (const args of calls) {
      const run = runOne(args);
      if (tolerant) await runTolerantly(doing, run, words, context.signal);
      else await run((line) => words.add(line), context.signal);
    }
    words.flush();
  } catch (error) {
    words.flush(error instanceof Error ? error.message : '');
    throw afterDeadlock(error, job.jobs);
  }
}

const rowsFirst = [['--section=pre-data', '--section=data'], ['--section=post-data']] as const;

/**
 * Arguments of each call that it takes. Several workers make a trigger as soon as its own table has its rows. That of a partitioned table, which has none of its own, then fires for the rows of partitions that are
 * still to come, and changes them without a word (pg_restore 15 to 18).
 */
async function sectionsOf(job: PgRestoreJob, jobs: number): Promise<readonly (readonly string[])[]> {
  if (jobs < 2) return [[]];
  const entries = job.entries ?? (await readEntries(job.archive));
  const has = (wanted: string): boolean => entries?.some(({ desc }) => desc === wanted) ?? true;
  return has('TABLE ATTACH') && has('TRIGGER') ? rowsFirst : [[]];
}

/** Undefined: an archive that only pg_restore understands. */
async function readEntries(archive: string): Promise<readonly TocEntry[] | undefined> {
  const file = createReadStream(archive);
  try {
    return (await readToc(file)).entries;
  } catch (error) {
    if (isPgsiloError(error)) return undefined;
    throw error;
  } finally {
    file.destroy();
  }
}

/** Workers of one pg_restore may wait for each other, as where indexes of partitions of partitions are attached. It is seldom, and another call or a single worker gets through. */
function afterDeadlock(error: unknown, jobs: number): unknown {
  if (jobs < 2 || !isPgsiloError(error) || !error.message.includes('deadlock detected')) return error;
  const hint = 'Workers of pg_restore waited for each other. Run it again with --jobs 1.';
  return new PgsiloError(error.code, error.message, { cause: error, hint });
}

/** Stops at the first error as `--exit-on-error` does, but for the one that this pair of versions cannot do without. */
async function runTolerantly(
  doing: string,
  run: (onStderr: (line: string) => void, signal: AbortSignal) => Promise<unknown>,
  words: LastWords,
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const errors = new RestoreErrors(() => stop.abort());
  try {
    await run(
      (line) => {
        for (const each of errors.line(line)) words.add(each);
      },
      AbortSignal.any([signal, stop.signal]),
    );
  } catch (error) {
    throwIfAborted(signal);
    if (stop.signal.aborted)
      throw new PgsiloError('restore.failed', `${doing} failed: ${words.text}`, { cause: error });
    const ended = isPgsiloError(error) && /exited with status 1\b/.test(error.message);
    if (!ended || !errors.onlyExpected) throw error;
  }
}

/** A far pg_restore cannot read a list of entries from this machine; it gets an archive that holds no others. */
export function archiveOf(job: Pick<PgRestoreJob, 'archive' | 'entries'>): Body {
  if (!job.entries) return createReadStream(job.archive, { highWaterMark: 256 * 1024 });
  return archiveSubset(job.archive, new Set(job.entries.map((entry) => entry.dumpId)));
}

export async function writeList(
  entries: readonly TocEntry[],
  context: Pick<Context, 'scratch'>,
): Promise<string> {
  const path = join(await context.scratch(), `restore-${crypto.randomUUID()}.list`);
  await writeFile(path, useList(entries.map((entry) => entry.dumpId)), { mode: 0o600, flag: 'wx' });
  return path;
}
