import path from 'node:path';
import type { PluginKind, SinkDefinition } from '@pgsilo/plugin';
import { checkAccept, checkHooks, checkPrune, checkSinkNames, warn } from './cross-checks.ts';
import { Inheritance } from './extends.ts';
import { Findings } from './findings.ts';
import type { FixedOptions } from './fixed-options.ts';
import { checkFixed } from './fixed-part.ts';
import { nodeAt, without } from './located.ts';
import type { LocatedMap } from './located.ts';
import { PipelineFileError } from './mistake.ts';
import type { Configured, ConfiguredSink, LoadOptions, Pipeline } from './pipeline.ts';
import { Placeholders } from './placeholders.ts';
import { withoutUndefined } from './retention-options.ts';
import { configurePlugin } from './plugin-part.ts';
import type { Configuration } from './plugin-part.ts';
import type { PluginOf } from './resolve-plugin.ts';

/**
 * Reads a pipeline file and what it extends, fills it in, imports the plugins it uses and checks all of it.
 * Throws a {@link PipelineFileError} with every mistake at once. Reads files and imports modules; touches nothing else.
 */
export async function loadPipeline(file: string, options: LoadOptions): Promise<Pipeline> {
  const findings = new Findings();
  const placeholders = new Placeholders(options.env ?? process.env, findings);
  const absolute = path.resolve(file);
  const merged = await new Inheritance(findings, placeholders).load(absolute);
  if (!merged) throw failure(findings);
  // Top-level `x-…` is where people put anchors to be used further down.
  const root = (await placeholders.fill(
    without(merged, (key) => key.startsWith('x-')),
    [],
  )) as LocatedMap;

  const fixed = await checkFixed(root, findings);
  const configure = <Kind extends PluginKind>(kind: Kind, at: (string | number)[]) =>
    configurePlugin(kind, nodeAt(root, at), at, options, findings);
  const [source, transforms, sinks] = await Promise.all([
    configure('source', ['source']),
    Promise.all(indexes(root, 'transforms').map((index) => configure('transform', ['transforms', index]))),
    Promise.all(indexes(root, 'sinks').map((index) => configure('sink', ['sinks', index]))),
  ]);
  const names = sinks.map((sink, index) => nameWritten(root, index) ?? sink?.definition.name);
  checkSinkNames(root, names, findings);
  if (fixed) {
    checkPrune(root, fixed, findings);
    checkAccept(root, fixed, findings);
    checkHooks(root, fixed, options.env ?? process.env, findings);
  }

  if (!findings.empty || !fixed) throw failure(findings);
  const folder = path.dirname(absolute);
  const warnings = new Findings();
  warn(root, folder, warnings);
  return {
    ...fixedResults(fixed, folder),
    file: absolute,
    folder,
    source: complete(source),
    transforms: transforms.map(complete),
    sinks: sinks.map((sink, index) => configuredSink(complete(sink), fixed, index, names[index]!)),
    warnings: warnings.mistakes(),
  };
}

function failure(findings: Findings): PipelineFileError {
  return new PipelineFileError(findings.mistakes(), findings.cause);
}

function indexes(root: LocatedMap, key: 'transforms' | 'sinks'): number[] {
  const list = nodeAt(root, [key]);
  return list?.kind === 'list' ? [...list.items.keys()] : [];
}

function nameWritten(root: LocatedMap, index: number): string | undefined {
  const name = nodeAt(root, ['sinks', index, 'name']);
  return name?.kind === 'scalar' && typeof name.value === 'string' ? name.value : undefined;
}

/** Without findings everything was found and parsed; the compiler cannot know. */
function complete<Kind extends PluginKind>(
  found: Configuration<Kind> | undefined,
): Configured<PluginOf<Kind>> {
  if (!found?.options) throw new TypeError('a plugin was neither configured nor reported');
  const { use, definition, options, placed } = found;
  return { use, definition, options, placed } as Configured<PluginOf<Kind>>;
}

function configuredSink(
  sink: Configured<SinkDefinition>,
  fixed: FixedOptions,
  index: number,
  name: string,
): ConfiguredSink {
  const { required, retention = fixed.retention, accept, limits } = fixed.sinks[index]!;
  const timezone = retention?.timezone ?? fixed.timezone ?? 'UTC';
  return {
    ...sink,
    name,
    required,
    ...(retention ? { retention: { ...retention, timezone } } : {}),
    ...(accept ? { accept: { periods: accept, timezone } } : {}),
    ...(limits ? { bytesPerSecond: limits.bytesPerSecond } : {}),
  };
}

function fixedResults(
  fixed: FixedOptions,
  folder: string,
): Pick<
  Pipeline,
  | 'name'
  | 'limits'
  | 'labels'
  | 'timezone'
  | 'scratch'
  | 'scratchServer'
  | 'checks'
  | 'objectives'
  | 'prune'
  | 'hooks'
> {
  const { jobs, jobTimeout, ...limits } = fixed.limits;
  const scratch = typeof fixed.scratch === 'string' ? { folder: fixed.scratch } : (fixed.scratch ?? {});
  const { connection, user } = scratch;
  return {
    name: fixed.pipeline,
    ...(fixed.timezone === undefined ? {} : { timezone: fixed.timezone }),
    ...(scratch.folder === undefined ? {} : { scratch: path.resolve(folder, scratch.folder) }),
    scratchServer: {
      ...(connection === undefined ? {} : { connection }),
      ...(user === undefined ? {} : { user }),
    },
    checks: fixed.checks.map(withoutUndefined).map((check) => ({ ...check, name: check.name ?? check.sql })),
    ...(fixed.objectives ? { objectives: withoutUndefined(fixed.objectives) } : {}),
    limits: {
      ...limits,
      ...(jobs === undefined ? {} : { jobs }),
      ...(jobTimeout === undefined ? {} : { jobTimeout }),
    },
    prune: fixed.prune,
    labels: fixed.labels,
    ...(fixed.hooks ? { hooks: fixed.hooks } : {}),
  };
}
