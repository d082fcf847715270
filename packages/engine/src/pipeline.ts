import type {
  Clock,
  Logger,
  ProofCheck,
  Secret,
  Sink,
  SinkTraits,
  Source,
  SourceTraits,
  Transform,
} from '@pgsilo/plugin';
import type { Acceptance } from './acceptance.ts';
import type { PipelineHooks } from './hooks.ts';
import type { Retention } from './retention/policy.ts';

/** A pipeline whose plugins are made: what all of the engine works on. */
export interface Pipeline {
  readonly name: string;
  readonly source: PipelineSource;
  readonly transforms: readonly PipelineTransform[];
  /** Makes a transform that old backups name and the pipeline no longer does. Throws `plugin.unknown` or, where it takes options, `config.invalid`. */
  readonly openTransform: (use: string) => Promise<Transform>;
  /** At least one; restores read from the first that has what is wanted. */
  readonly sinks: readonly PipelineSink[];
  readonly limits: Limits;
  /** The person's own commands around backups, restores and swaps; undefined: none. */
  readonly hooks?: PipelineHooks;
  /** Stands on every unit's manifest beside the unit's own labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** Folder in which runs make their scratch folders. */
  readonly scratch: string;
  /** Where copies are restored that prove a backup; without it, in a server that the source makes. */
  readonly scratchServer?: ScratchPlace;
  /** What is asked of such copies. */
  readonly checks?: readonly Check[];
  /** What a drill must keep. */
  readonly objectives?: Objectives;
  readonly clock: Clock;
  readonly log: Logger;
  /** Version of pgsilo, for manifests. */
  readonly version: string;
}

export interface ScratchPlace {
  /** Connection string of a server for copies. */
  readonly connection?: Secret;
  /** Which user of the operating system a server of the source's making runs as, where pgsilo runs as root. */
  readonly user?: string;
}

/** A check and the units that it is for. */
export interface Check extends ProofCheck {
  /** Names; undefined: all that `where` leaves. */
  readonly units?: readonly string[];
  /** Labels, all of which a unit must have. */
  readonly where?: Readonly<Record<string, string>>;
}

export interface Objectives {
  /** Milliseconds that bringing everything back may take. */
  readonly rto?: number;
  /** Milliseconds that the newest good backup of a unit may be old. */
  readonly rpo?: number;
}

export interface PipelineSource {
  readonly use: string;
  readonly source: Source;
  readonly traits: SourceTraits;
}

export interface PipelineTransform {
  readonly use: string;
  readonly transform: Transform;
}

export interface PipelineSink {
  readonly name: string;
  readonly use: string;
  /** When false, its failures are warnings. */
  readonly required: boolean;
  /** What is kept there; without it everything. */
  readonly retention?: Retention;
  /** Which backups it is given; without it all. At least one sink of a pipeline is without it. */
  readonly accept?: Acceptance;
  /** How fast artifacts are sent there at most, over all that are under way. */
  readonly bytesPerSecond?: number;
  readonly sink: Sink;
  readonly traits: SinkTraits;
}

export interface Limits {
  /** Jobs that run at once. */
  readonly jobs: number;
  /** Bytes of bodies in memory, over everything in flight. */
  readonly memory: number;
  /** How often a job is tried in all. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubled for each further one. */
  readonly backoff: number;
  /** Milliseconds that one attempt of a job may take. */
  readonly jobTimeout?: number;
}

/** Closes every plugin, each once, and reports rather than throws what goes wrong: closing comes last, after the result is known. */
export async function closePipeline(pipeline: Pipeline): Promise<void> {
  const closing = [
    pipeline.source.source.close(),
    ...pipeline.transforms.map(({ transform }) => transform.close?.()),
    ...pipeline.sinks.map(({ sink }) => sink.close()),
  ];
  for (const result of await Promise.allSettled(closing)) {
    if (result.status === 'rejected')
      pipeline.log.warn('a plugin did not close cleanly', { error: String(result.reason) });
  }
}
