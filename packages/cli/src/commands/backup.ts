import { backup, exitOf } from '@pgsilo/engine';
import type { BackupOptions as EngineOptions, PruneReport, RunReport } from '@pgsilo/engine';
import { PipelineFileError } from '@pgsilo/pipeline-file';
import type { Mistake, Pipeline as PipelineFile } from '@pgsilo/pipeline-file';
import { abortReason, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import { durationOf, labelsOf, pinOf, selectionOf } from '../arguments.ts';
import type { SelectionOptions } from '../arguments.ts';
import { errorDocument } from '../error-text.ts';
import type { Invocation } from '../invocation.ts';
import { readPipelineFile, usePipeline } from '../open-pipeline.ts';
import { reportError } from '../perform.ts';
import { pruneAfter } from '../prune-after.ts';
import { pruneSums, sinkDocument } from '../prune-report.ts';
import { runDocument, runText } from '../run-report.ts';
import { watchRun } from '../run-watch.ts';

export interface BackupOptions extends SelectionOptions {
  readonly label?: readonly string[];
  readonly pin?: string;
  readonly until?: string;
  readonly wait?: string;
}

interface Outcome {
  readonly file: string;
  readonly pipeline: string;
  readonly exit: number;
  readonly report?: RunReport;
  readonly warned?: ReadonlySet<string>;
  readonly pruned?: PruneReport;
  readonly error?: PgsiloError;
}

/** `pgsilo backup`: all files are checked before the first is run; a run that fails does not keep the next from its turn. */
export async function backupFiles(
  invocation: Invocation,
  files: readonly string[],
  options: BackupOptions,
): Promise<number> {
  const common = commonRequest(options);
  const pipelines = await readAll(files, invocation);
  const requests = pipelines.map(({ timezone }) => ({
    ...common,
    ...(options.pin === undefined
      ? {}
      : { pin: pinOf(options.pin, options.until, timezone, invocation.now()) }),
  }));
  const outcomes: Outcome[] = [];
  for (const [index, read] of pipelines.entries()) {
    const file = files[index]!;
    const outcome = await runOne(read, file, requests[index]!, invocation);
    outcomes.push(outcome);
    if (!invocation.json && invocation.progress === 'live') invocation.screen.print('');
    if (!invocation.json && outcome.report && (!invocation.quiet || outcome.exit !== 0)) {
      await invocation.out.write(runText(outcome.report, outcome.warned ?? new Set(), invocation));
      if (outcome.pruned) await invocation.out.write(pruneSums(outcome.pruned, invocation));
    }
  }
  if (invocation.json) {
    const runs = outcomes.map(({ file, pipeline, exit, report, pruned, error }) => ({
      file,
      pipeline,
      exit,
      ...(report ? { report: runDocument(report) } : {}),
      ...(pruned ? { prune: pruned.sinks.map(sinkDocument) } : {}),
      ...(error ? { error: errorDocument(error) } : {}),
    }));
    await invocation.out.json({ runs });
  }
  return worst(outcomes.map(({ exit }) => exit));
}

type Request = Pick<EngineOptions, 'only' | 'where' | 'labels' | 'wait' | 'pin'>;

function commonRequest(options: BackupOptions): Request {
  if (options.until !== undefined && options.pin === undefined) {
    throw new PgsiloError('usage.invalid', '--until is given without --pin', { hint: 'Add --pin "reason".' });
  }
  return {
    ...selectionOf(options),
    labels: labelsOf(options.label),
    ...(options.wait === undefined ? {} : { wait: durationOf('--wait', options.wait) }),
  };
}

/** Every mistake of every file at once, before anything is touched. */
async function readAll(files: readonly string[], invocation: Invocation): Promise<PipelineFile[]> {
  const read: PipelineFile[] = [];
  const mistakes: Mistake[] = [];
  for (const file of files) {
    try {
      read.push(await readPipelineFile(file, invocation));
    } catch (error) {
      if (!(error instanceof PipelineFileError) || error.mistakes.length === 0) throw error;
      mistakes.push(...error.mistakes);
    }
  }
  if (mistakes.length > 0) throw new PipelineFileError(mistakes);
  for (const { file, line, message } of read.flatMap(({ warnings }) => warnings)) {
    invocation.log.warn(message, { at: `${file}:${line}` });
  }
  return read;
}

async function runOne(
  read: PipelineFile,
  file: string,
  request: Request,
  invocation: Invocation,
): Promise<Outcome> {
  const { signal } = invocation;
  const about = { file, pipeline: read.name };
  if (signal.aborted) {
    const error = new PgsiloError(
      'aborted',
      `pipeline ${read.name} was not begun: ${abortReason(signal).message}`,
    );
    return { ...about, exit: error.exit, error };
  }
  try {
    return await usePipeline(read, invocation, async (pipeline) => {
      const watch = await watchRun(invocation);
      let report: RunReport;
      try {
        report = await backup(pipeline, { ...request, signal, observe: (event) => watch.observe(event) });
      } finally {
        watch.end();
      }
      const pruned = await pruneAfter(read, pipeline, report, invocation);
      return { ...about, exit: exitOf(report), report, warned: watch.warned, ...pruned };
    });
  } catch (thrown) {
    const error = toPgsiloError(thrown);
    await reportError(error, invocation);
    return { ...about, exit: error.exit, error };
  }
}

const severity = [0, 1, 2, 3, 130];

function worst(exits: readonly number[]): number {
  return exits.reduce((worse, exit) => (severity.indexOf(exit) > severity.indexOf(worse) ? exit : worse), 0);
}
