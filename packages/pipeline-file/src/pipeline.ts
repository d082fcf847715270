import type {
  PluginDefinition,
  PluginKind,
  Secret,
  SinkDefinition,
  SourceDefinition,
  TransformDefinition,
} from '@pgsilo/plugin';
import type { z } from 'zod';
import type { Hooks } from './hooks.ts';
import type { Mistake } from './mistake.ts';
import type { Period, Retention } from './retention.ts';

/** How a pipeline file is read. */
export interface LoadOptions {
  /** Where `${env:NAME}` is looked up; `process.env` when it is left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `import.meta.url` of the command: plugins that are not found beside the pipeline file are looked up from there. */
  readonly builtinsFrom: string;
  /** The plugins that come with the command. */
  readonly known: readonly KnownPlugin[];
}

export interface KnownPlugin {
  readonly kind: PluginKind;
  readonly name: string;
  /** Name of its package. */
  readonly package?: string;
  /** Imports that package, when it is not found beside the pipeline file. */
  readonly load?: () => Promise<unknown>;
}

/** A plugin and its parsed options. */
export interface Configured<D extends PluginDefinition> {
  /** As it is written after `use:`. */
  readonly use: string;
  readonly definition: D;
  readonly options: z.output<D['options']>;
  /** What to throw for what `definition.create` threw: a `config.invalid` as a mistake with its place in the file, all else as it is. */
  readonly placed: (error: unknown) => unknown;
}

export interface ConfiguredSink extends Configured<SinkDefinition> {
  /** `name:`, else the plugin's name; unique within the pipeline. */
  readonly name: string;
  /** False: a failure of this sink is a warning. */
  readonly required: boolean;
  /** Its own, else the pipeline's; without one all is kept. */
  readonly retention?: Retention;
  /** Of each unit it takes the first good backup of each of these; without it all. */
  readonly accept?: { readonly periods: readonly Period[]; readonly timezone: string };
  /** How fast artifacts are sent there at most. */
  readonly bytesPerSecond?: number;
}

export interface Limits {
  /** Jobs that run at once; undefined: the engine chooses. */
  readonly jobs?: number;
  /** Bytes of everything in flight. */
  readonly memory: number;
  /** How often a job is tried in all. */
  readonly attempts: number;
  /** Milliseconds before the second attempt. */
  readonly backoff: number;
  /** Milliseconds after which a job is ended. */
  readonly jobTimeout?: number;
}

/** A question to restored copies of some units. */
export interface Check {
  /** As given, else the SQL. */
  readonly name: string;
  readonly sql: string;
  readonly expect: string | number | boolean | null;
  readonly units?: readonly string[];
  readonly where?: Readonly<Record<string, string>>;
  readonly database?: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** A pipeline file that was read, checked and filled in. Its secrets are `Secret`s. */
export interface Pipeline {
  readonly name: string;
  /** Absolute path of the main file. */
  readonly file: string;
  /** Absolute path of the main file's folder: the one that relative paths in plugins' options refer to. */
  readonly folder: string;
  /** IANA name or offset. */
  readonly timezone?: string;
  /** Absolute path. */
  readonly scratch?: string;
  /** Where copies are restored that prove backups: a server that is named, or how one that is started runs. */
  readonly scratchServer: { readonly connection?: Secret; readonly user?: string };
  /** What such copies are asked. */
  readonly checks: readonly Check[];
  /** What a drill must keep. */
  readonly objectives?: { readonly rto?: number; readonly rpo?: number };
  readonly source: Configured<SourceDefinition>;
  readonly transforms: readonly Configured<TransformDefinition>[];
  readonly sinks: readonly ConfiguredSink[];
  readonly limits: Limits;
  /** Whether a run that ended well is followed by a prune. */
  readonly prune: 'after-backup' | 'never';
  /** Added to the labels of every unit. */
  readonly labels: Readonly<Record<string, string>>;
  /** Commands before and after backups, restores and swaps. */
  readonly hooks?: Hooks;
  /** What is allowed and probably not meant. */
  readonly warnings: readonly Mistake[];
}
