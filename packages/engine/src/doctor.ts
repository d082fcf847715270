import { statfs } from 'node:fs/promises';
import { toPgsiloError } from '@pgsilo/plugin';
import type { CheckResult } from '@pgsilo/plugin';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { openScratch } from './scratch.ts';
import { openSession } from './session.ts';
import type { EngineSession } from './session.ts';
import { trialOf } from './sink-trial.ts';
import type { TrialResult, TrySink } from './sink-trial.ts';

/** One line of the doctor's report, with what it is about: `source`, `sink s3`. */
export interface Diagnosis extends TrialResult {
  readonly area: string;
}

export interface DoctorOptions {
  readonly signal: AbortSignal;
  /** Tries each sink out, where its own check found no fault; the engine gives it a place there and clears up. */
  readonly trySink?: TrySink;
}

/** Touches everything that a run would: source, transforms, sinks, scratch. A check that throws is a failed line, and the others go on. */
export async function* doctor(
  pipeline: Pipeline,
  { signal, trySink }: DoctorOptions,
): AsyncGenerator<Diagnosis, void, undefined> {
  const session = openSession(pipeline, signal);
  try {
    yield* area(`source ${pipeline.source.use}`, pipeline.source.source.check(session.context()));
    for (const { use, transform } of pipeline.transforms)
      if (transform.check) yield* area(`transform ${use}`, transform.check(session.context()));
    for (const sink of pipeline.sinks) yield* area(`sink ${sink.name}`, checkSink(session, sink, trySink));
    yield* area('scratch', checkScratch(pipeline.scratch));
  } finally {
    await session.scratch.remove();
  }
}

async function* checkSink(
  session: EngineSession,
  sink: PipelineSink,
  trySink: TrySink | undefined,
): AsyncGenerator<TrialResult, void, undefined> {
  let sound = true;
  for await (const result of sink.sink.check(session.context())) {
    sound &&= result.status !== 'failed';
    yield result;
  }
  // One reason is enough; a store that cannot be reached would give one for each promise.
  if (trySink !== undefined && sound) yield* trialOf(session, sink, trySink);
}

async function* area(
  name: string,
  checks: AsyncIterable<TrialResult>,
): AsyncGenerator<Diagnosis, void, undefined> {
  try {
    for await (const check of checks) yield { area: name, ...check };
  } catch (thrown) {
    const error = toPgsiloError(thrown);
    if (error.code === 'aborted') throw error;
    yield {
      area: name,
      name: 'check',
      status: 'failed',
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    };
  }
}

async function* checkScratch(root: string): AsyncGenerator<CheckResult, void, undefined> {
  const scratch = openScratch(root);
  try {
    await scratch.folder();
    const disk = await statfs(root);
    const free = (disk.bavail * disk.bsize) / 1e9;
    yield {
      name: 'folder',
      status: 'ok',
      message: `${root}: ${free.toFixed(1)} GB free; a restore needs the archive's size before compression`,
    };
  } finally {
    await scratch.remove();
  }
}
