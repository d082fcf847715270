import type { PgsiloError } from '@pgsilo/plugin';
import type { PipelineSink } from './pipeline.ts';
import type { Candidate, Reason } from './retention/decide.ts';
import type { Garbage } from './retention/garbage.ts';
import type { PrunedWal } from './wal/wal-prune.ts';

/** What became of one backup in one sink. */
export interface PrunedBackup {
  /** The unit's name; where no manifest could be read, the key that stands for it. */
  readonly unit: string;
  readonly backup: string;
  readonly sink: string;
  readonly snapshotAt?: string;
  readonly status: Candidate['status'];
  /** Of all its objects in this sink. */
  readonly bytes: number;
  /** `planned`: a dry run would have been no dry one. `retained`: the store does not give it up yet, and it stays listed. */
  readonly outcome: 'kept' | 'planned' | 'removed' | 'retained' | 'failed';
  /** The rules that keep it, or why none does. */
  readonly reasons: readonly Reason[];
  /** Until when the store retains it; missing where that has no end. */
  readonly until?: Date;
  /** Of a removed one: how many of its objects the store does not give up yet. */
  readonly retainedObjects?: number;
  /** Why its manifest cannot be read, or why it was not removed, or not all of it. */
  readonly error?: PgsiloError;
}

export interface PrunedSink {
  readonly sink: string;
  /** False: nothing is said about this sink, so all of it is kept. */
  readonly retention: boolean;
  readonly kept: number;
  /** Of a dry run: how many would be. */
  readonly removed: number;
  readonly retained: number;
  readonly failed: number;
  /** Those whose manifests cannot be read; they are among the kept ones. */
  readonly unreadable: number;
  /** Of the removed ones. */
  readonly bytes: number;
  /** Objects that belonged to no backup. */
  readonly garbage: number;
  /** Missing where no write-ahead log is looked at: the source keeps none, or the sink has no retention. */
  readonly wal?: PrunedWal;
  /** What kept the sink from being pruned, or from being pruned to its end. */
  readonly error?: PgsiloError;
}

export interface PruneReport {
  readonly dryRun: boolean;
  /** `partial`: a sink failed, a backup could not be removed or not be read. */
  readonly status: 'ok' | 'partial';
  readonly sinks: readonly PrunedSink[];
}

type Mutable = { -readonly [Field in keyof PrunedSink]: PrunedSink[Field] };

/** Codes after which nothing more is asked of a sink: the next call would meet the same. */
const fatalForSink: ReadonlySet<string> = new Set(['sink.denied', 'sink.missing', 'sink.unreachable']);

/** Adds up a prune, sink by sink. */
export class PruneTally {
  readonly dryRun: boolean;
  readonly #sinks: ReadonlyMap<string, Mutable>;
  readonly #broken = new Map<PipelineSink, PgsiloError>();

  constructor(
    dryRun: boolean,
    sinks: readonly PipelineSink[],
    unlisted: ReadonlyMap<PipelineSink, PgsiloError>,
  ) {
    this.dryRun = dryRun;
    const nothing = { kept: 0, removed: 0, retained: 0, failed: 0, unreadable: 0, bytes: 0, garbage: 0 };
    this.#sinks = new Map(
      sinks.map((sink) => [
        sink.name,
        { sink: sink.name, retention: sink.retention !== undefined, ...nothing },
      ]),
    );
    for (const [sink, error] of unlisted) this.sinkFailed(sink, error);
  }

  add({ sink, outcome, status, bytes, error }: PrunedBackup): void {
    const sums = this.#sinks.get(sink)!;
    sums[outcome === 'planned' ? 'removed' : outcome] += 1;
    if (status === 'unknown') sums.unreadable += 1;
    if (outcome === 'planned' || outcome === 'removed') sums.bytes += bytes;
    if (outcome === 'removed' && error) sums.error ??= error;
  }

  addGarbage(sink: PipelineSink, { objects }: Garbage): void {
    this.#sinks.get(sink.name)!.garbage += objects;
  }

  addWal(sink: PipelineSink, wal: PrunedWal): void {
    this.#sinks.get(sink.name)!.wal = wal;
  }

  sinkFailed(sink: PipelineSink, error: PgsiloError): void {
    this.#sinks.get(sink.name)!.error ??= error;
    if (fatalForSink.has(error.code)) this.#broken.set(sink, error);
  }

  /** Why nothing more is asked of a sink. */
  isBroken(sink: PipelineSink): PgsiloError | undefined {
    return this.#broken.get(sink);
  }

  report(): PruneReport {
    const sinks = [...this.#sinks.values()];
    const well = sinks.every(({ failed, unreadable, error }) => failed + unreadable === 0 && !error);
    return { dryRun: this.dryRun, status: well ? 'ok' : 'partial', sinks };
  }
}
