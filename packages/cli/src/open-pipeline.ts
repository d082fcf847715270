import { availableParallelism, tmpdir } from 'node:os';
import { closePipeline } from '@pgsilo/engine';
import type { Pipeline, PipelineSink, PipelineTransform } from '@pgsilo/engine';
import { loadPipeline } from '@pgsilo/pipeline-file';
import type { Pipeline as PipelineFile } from '@pgsilo/pipeline-file';
import { PgsiloError } from '@pgsilo/plugin';
import type { PluginKind, Setup } from '@pgsilo/plugin';
import { builtins } from './builtins.ts';
import type { Invocation } from './invocation.ts';
import { keptDays } from './kept-days.ts';
import { keysWithin } from './keys-within.ts';
import { MadePlugins } from './made-plugins.ts';
import { systemClock } from './system-clock.ts';
import { ownVersion } from './version.ts';

/** Reads and checks a pipeline file. Throws with every mistake in it. */
export async function readPipelineFile(file: string, invocation: Invocation): Promise<PipelineFile> {
  return loadPipeline(file, { env: invocation.env, builtinsFrom: import.meta.url, known: builtins });
}

/** Reads a pipeline file, makes its plugins, and closes them when `work` has ended, however it ended. */
export async function withPipeline<Result>(
  file: string,
  invocation: Invocation,
  work: (pipeline: Pipeline, read: PipelineFile) => Promise<Result>,
): Promise<Result> {
  const read = await readPipelineFile(file, invocation);
  for (const { file: place, line, message } of read.warnings)
    invocation.log.warn(message, { at: `${place}:${line}` });
  return usePipeline(read, invocation, work);
}

/** As {@link withPipeline}, for a file that was read before. */
export async function usePipeline<Result>(
  read: PipelineFile,
  invocation: Invocation,
  work: (pipeline: Pipeline, read: PipelineFile) => Promise<Result>,
): Promise<Result> {
  const made = new MadePlugins({ pipeline: read.name, folder: read.folder, log: invocation.log });
  let pipeline: Pipeline;
  try {
    pipeline = await makePipeline(read, made, invocation);
  } catch (error) {
    await made.close();
    throw error;
  }
  try {
    return await work(pipeline, read);
  } finally {
    await closePipeline(pipeline);
    await made.closeExtras();
  }
}

const mostJobs = 4;

async function makePipeline(
  read: PipelineFile,
  made: MadePlugins,
  { log, env }: Invocation,
): Promise<Pipeline> {
  const { definition, use } = read.source;
  const source = await makeOne('source', read.source, made);
  const transforms: PipelineTransform[] = [];
  for (const each of read.transforms)
    transforms.push({ use: each.use, transform: await makeOne('transform', each, made) });
  const sinks: PipelineSink[] = [];
  const places = new Map<string, string>();
  for (const each of read.sinks) {
    const { name, use, required, retention, accept, bytesPerSecond, definition } = each;
    const days = keptDays(retention);
    const sink = await makeOne('sink', each, made, days === undefined ? {} : { keptDays: days });
    const { traits } = definition;
    const where = await sink.place?.();
    for (const { transform } of transforms) {
      const kept = await keysWithin(where, transform);
      if (kept !== undefined) throw each.placed(keysInSink(name, kept));
    }
    const place = `${use} ${where ?? name}`;
    const twin = places.get(place);
    if (twin !== undefined) throw each.placed(samePlace(name, twin));
    places.set(place, name);
    sinks.push({
      name,
      use,
      required,
      sink,
      traits,
      ...(retention ? { retention } : {}),
      ...(accept ? { accept } : {}),
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    });
  }
  return {
    name: read.name,
    source: { use, source, traits: definition.traits },
    transforms,
    openTransform: (name) => made.transform(name),
    sinks,
    limits: { ...read.limits, jobs: read.limits.jobs ?? Math.min(mostJobs, availableParallelism()) },
    ...(read.hooks ? { hooks: { commands: read.hooks, folder: read.folder, env } } : {}),
    labels: read.labels,
    scratch: read.scratch ?? tmpdir(),
    scratchServer: read.scratchServer,
    checks: read.checks,
    ...(read.objectives ? { objectives: read.objectives } : {}),
    clock: systemClock,
    log,
    version: ownVersion(),
  };
}

function keysInSink(sink: string, folder: string): PgsiloError {
  return new PgsiloError(
    'config.invalid',
    `the keys in ${folder} would lie in the sink ${sink}, beside what they open`,
    {
      hint: 'Keep them in a folder that is no part of a sink.',
    },
  );
}

/** Each would find the other's objects in its way, and retention of one would remove what the other keeps. */
function samePlace(name: string, twin: string): PgsiloError {
  return new PgsiloError('config.invalid', `the sinks ${name} and ${twin} are one and the same place`, {
    hint: 'Two sinks are worth something when they fail apart: give this one a place of its own, or take it out.',
  });
}

async function makeOne<Made extends { close?(): Promise<void> }, Options>(
  kind: PluginKind,
  each: {
    readonly use: string;
    readonly definition: { create(options: Options, setup: Setup): Promise<Made> | Made };
    readonly options: Options;
    readonly placed: (error: unknown) => unknown;
  },
  made: MadePlugins,
  more: Pick<Setup, 'keptDays'> = {},
): Promise<Made> {
  try {
    return await made.keep(kind, each.use, each.definition.create(each.options, { ...made.setup, ...more }));
  } catch (error) {
    throw each.placed(error);
  }
}
