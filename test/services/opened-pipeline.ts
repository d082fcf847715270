import { closePipeline, type Pipeline } from '@pgsilo/engine';
import { loadPipeline } from '@pgsilo/pipeline-file';
import { recordingLogger } from '@pgsilo/testkit';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { tmpdir } from 'node:os';

const command = pathToFileURL(join(import.meta.dirname, '..', '..', 'packages', 'cli', 'package.json')).href;

/** A pipeline of a file, opened as the command opens it: for what is asked so often that starting the command each time would take too long. */
export async function openPipelineFile(
  file: string,
  env: Record<string, string | undefined>,
): Promise<Pipeline & AsyncDisposable> {
  const read = await loadPipeline(file, { env, builtinsFrom: command, known: [] });
  const setup = { pipeline: read.name, folder: read.folder, log: recordingLogger() };
  const pipeline: Pipeline = {
    name: read.name,
    source: {
      use: read.source.use,
      source: await read.source.definition.create(read.source.options, setup),
      traits: read.source.definition.traits,
    },
    transforms: await Promise.all(
      read.transforms.map(async ({ use, definition, options }) => ({
        use,
        transform: await definition.create(options, setup),
      })),
    ),
    openTransform: (use) => Promise.reject(new Error(`the pipeline does not name ${use}`)),
    sinks: await Promise.all(
      read.sinks.map(async ({ name, use, required, definition, options }) => ({
        name,
        use,
        required,
        sink: await definition.create(options, setup),
        traits: definition.traits,
      })),
    ),
    limits: { ...read.limits, jobs: read.limits.jobs ?? 2 },
    labels: read.labels,
    scratch: read.scratch ?? tmpdir(),
    clock: {
      now: () => new Date(),
      sleep: (milliseconds, signal) => sleep(milliseconds, undefined, signal ? { signal } : {}),
    },
    log: setup.log,
    version: '0.0.0',
  };
  return { ...pipeline, [Symbol.asyncDispose]: () => closePipeline(pipeline) };
}
