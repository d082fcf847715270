import type { z } from 'zod';
import type { Logger } from './context.ts';
import type { Sink, SinkTraits } from './sink.ts';
import type { Source, SourceTraits } from './source.ts';
import type { Transform, TransformTraits } from './transform.ts';

/** What a plugin is created with besides its options. */
export interface Setup {
  /** Name of the pipeline. */
  readonly pipeline: string;
  /** Absolute path of the folder that relative paths in the options refer to: the pipeline file's own. */
  readonly folder: string;
  readonly log: Logger;
  /** For sinks: how many days retention keeps a backup there at most, as far as it says so in time. What a kept backup requires stays longer. */
  readonly keptDays?: number;
}

interface Definition<Kind extends string, Made, Traits, Options extends z.ZodObject> {
  readonly kind: Kind;
  /** What follows `use:`, and the package's name after the kind: kebab-case. */
  readonly name: string;
  /** One line: what it is for. */
  readonly summary: string;
  /**
   * The options as a strict zod object, each field with `.meta({ description, example })`; secrets made by `secret()`.
   * Types, checks with line and column, JSON Schema, the README's table and redaction all come from it.
   */
  readonly options: Options;
  readonly traits: Traits;
  /**
   * Makes an instance. Cheap: no connection, no file, and what is large is imported here rather than at the top of the module, so that reading a pipeline file stays fast.
   * Options that contradict each other throw `config.invalid`.
   */
  create(options: z.output<Options>, setup: Setup): Promise<Made> | Made;
}

export type SourceDefinition<Options extends z.ZodObject = z.ZodObject> = Definition<
  'source',
  Source,
  SourceTraits,
  Options
>;
export type TransformDefinition<Options extends z.ZodObject = z.ZodObject> = Definition<
  'transform',
  Transform,
  TransformTraits,
  Options
>;
export type SinkDefinition<Options extends z.ZodObject = z.ZodObject> = Definition<
  'sink',
  Sink,
  SinkTraits,
  Options
>;
export type PluginDefinition = SourceDefinition | TransformDefinition | SinkDefinition;
export type PluginKind = PluginDefinition['kind'];

/** Marks a plugin whatever copy of this package made it: an installed plugin may carry its own. */
const mark = Symbol.for('pgsilo.plugin.1');

/**
 * Declares a plugin; the result is the module's default export. Importing that module has no side effect.
 * @example export default definePlugin({ kind: 'sink', name: 'local', summary: '…', options, traits, create: async (o, setup) => (await import('./sink.ts')).createLocalSink(o, setup) });
 */
export function definePlugin<Options extends z.ZodObject>(
  definition: SourceDefinition<Options>,
): SourceDefinition<Options>;
export function definePlugin<Options extends z.ZodObject>(
  definition: TransformDefinition<Options>,
): TransformDefinition<Options>;
export function definePlugin<Options extends z.ZodObject>(
  definition: SinkDefinition<Options>,
): SinkDefinition<Options>;
export function definePlugin(definition: object): object {
  return Object.freeze({ ...definition, [mark]: true });
}

/** Whether a value was made by {@link definePlugin}. */
export function isPlugin(value: unknown): value is PluginDefinition {
  return typeof value === 'object' && value !== null && mark in value;
}
