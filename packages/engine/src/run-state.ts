import { PgsiloError } from '@pgsilo/plugin';
import type { RunEvent } from './events.ts';
import type { PipelineSink } from './pipeline.ts';
import type { EngineSession } from './session.ts';
import { Slots } from './slots.ts';

/** Codes after which a sink gets nothing more in this run: the next unit would meet the same. */
const fatalForSink: ReadonlySet<string> = new Set(['sink.denied', 'sink.missing']);

/** Puts of a run whose bodies were read to their end and that may still be waited for at once, beyond those of bodies that flow. */
export const latePuts = 16;

/** What the jobs of one run share. */
export class RunState {
  readonly session: EngineSession;
  readonly run: string;
  /** Aborted when the run is interrupted or its lock is lost. */
  readonly signal: AbortSignal;
  readonly labels: Readonly<Record<string, string>>;
  readonly observe: (event: RunEvent) => void;
  /** Jobs that the source is being read for. */
  readonly reading: Slots;
  readonly puts: Slots = new Slots(latePuts);
  readonly #dropped = new Map<PipelineSink, PgsiloError>();
  readonly #due = new Map<PipelineSink, (unit: string) => boolean>();

  constructor(given: Pick<RunState, 'session' | 'run' | 'signal' | 'labels' | 'observe'>) {
    this.reading = new Slots(given.session.pipeline.limits.jobs);
    this.session = given.session;
    this.run = given.run;
    this.signal = given.signal;
    this.labels = given.labels;
    this.observe = given.observe;
  }

  /** Sinks that still take part. */
  get sinks(): readonly PipelineSink[] {
    return this.session.pipeline.sinks.filter((sink) => !this.#dropped.has(sink));
  }

  /** Those of them that want a unit's backup. */
  sinksFor(unit: string): readonly PipelineSink[] {
    return this.sinks.filter((sink) => this.wants(sink, unit));
  }

  wants(sink: PipelineSink, unit: string): boolean {
    return this.#due.get(sink)?.(unit) ?? true;
  }

  /** Notes what a sink with `accept` wants of this run. */
  wanted(sink: PipelineSink, due: (unit: string) => boolean): void {
    this.#due.set(sink, due);
  }

  /** Why a sink takes no part any more. */
  droppedBecause(sink: PipelineSink): PgsiloError | undefined {
    return this.#dropped.get(sink);
  }

  /** Notes a sink's failure, for one unit or, where the next one would fail alike, for the rest of the run. */
  sinkFailed(
    sink: PipelineSink,
    error: PgsiloError,
    unit?: string,
    forRun: boolean = fatalForSink.has(error.code),
  ): void {
    if (this.#dropped.has(sink)) return;
    if (forRun) this.#dropped.set(sink, givenUp(sink, error, unit));
    this.observe({
      type: 'sink-dropped',
      sink: sink.name,
      error: error.toJSON(),
      forRun,
      ...(unit === undefined ? {} : { unit }),
    });
    this.session.pipeline.log.warn(
      forRun ? 'sink dropped for the rest of the run' : 'sink failed for a unit',
      {
        sink: sink.name,
        ...(unit === undefined ? {} : { unit }),
        code: error.code,
        error: error.message,
      },
    );
  }
}

/** What is said of the units that come after. */
function givenUp(sink: PipelineSink, error: PgsiloError, unit: string | undefined): PgsiloError {
  const when = unit === undefined ? 'when the run began' : `at ${JSON.stringify(unit)}`;
  return new PgsiloError(error.code, `not tried: sink ${sink.name} was given up ${when}: ${error.message}`, {
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}
