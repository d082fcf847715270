import { throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { newestRunAnywhere } from '../history.ts';
import { encodeUnit, runsPrefix, timeOfId } from '../keys.ts';
import { getDocument, listObjects } from '../objects.ts';
import type { PipelineSink } from '../pipeline.ts';
import { eachLimited } from '../pool.ts';
import { readRunReport } from '../run-records.ts';
import type { RunReport } from '../run-records.ts';
import type { EngineSession } from '../session.ts';
import { after } from './calendar.ts';
import type { Span } from './policy.ts';

const reportsAtOnce = 16;

/** Knows which units have left the registry, from the records of runs: no server is asked. */
export class Departures {
  readonly #session: EngineSession;
  readonly #sinks: readonly PipelineSink[];
  readonly #newest: { readonly run: string; readonly units: ReadonlySet<string> } | undefined;
  #lastNamed: Promise<(unitKey: string) => number> | undefined;

  private constructor(session: EngineSession, sinks: readonly PipelineSink[], report: RunReport | undefined) {
    this.#session = session;
    this.#sinks = sinks;
    this.#newest = report && { run: report.run, units: unitsOf(report) };
  }

  static async read(session: EngineSession, sinks: readonly PipelineSink[]): Promise<Departures> {
    const { report } = await newestRunAnywhere(session);
    // No run backs up nothing: a record that names no unit says nothing about who left.
    return new Departures(session, sinks, report && report.units.length > 0 ? report : undefined);
  }

  /**
   * Until when all of a departed unit is held; undefined for one that is still there, or may be.
   * Counted from its newest backup, or from the last run that named it where it was failing before it left.
   * @param newest the id of its newest backup in any sink.
   */
  async heldUntil(unitKey: string, newest: string, departed: Span): Promise<Date | undefined> {
    const run = this.#newest;
    // A backup that is newer than that run proves that the unit was there after it.
    if (!run || run.units.has(unitKey) || newest > run.run) return undefined;
    const until = after(new Date(timeOfId(newest)), departed);
    if (until > this.#session.pipeline.clock.now()) return until;
    // A sink that cannot be listed may hold a newer backup or the record of a newer run.
    if (this.#sinks.length < this.#session.pipeline.sinks.length) return undefined;
    // About to be removed for good: now it is worth reading every record.
    this.#lastNamed ??= this.#readAll();
    const named = (await this.#lastNamed)(unitKey);
    const fromRun = after(new Date(named), departed);
    return named > 0 && fromRun > until ? fromRun : until;
  }

  async #readAll(): Promise<(unitKey: string) => number> {
    const named = new Map<string, number>();
    /** A record that cannot be read may name any unit. */
    let unknown = 0;
    await eachLimited(await this.#runs(), reportsAtOnce, async ([key, sinks]) => {
      const time = timeOfId(key.slice(runsPrefix(this.#session.pipeline.name).length));
      const report = await this.#readReport(key, sinks);
      if (!report) {
        unknown = Math.max(unknown, time);
        return;
      }
      // A run of selected units, or a copy, says nothing about the registry.
      if (report.selected) return;
      for (const unitKey of unitsOf(report))
        if (!this.#newest!.units.has(unitKey)) named.set(unitKey, Math.max(named.get(unitKey) ?? 0, time));
    });
    return (unitKey) => Math.max(unknown, named.get(unitKey) ?? 0);
  }

  /** The records of ended runs, each with the sinks that hold it. */
  async #runs(): Promise<ReadonlyMap<string, readonly PipelineSink[]>> {
    const found = new Map<string, PipelineSink[]>();
    for (const sink of this.#sinks) {
      for await (const { key } of listObjects(this.#session, sink, runsPrefix(this.#session.pipeline.name))) {
        if (!key.endsWith('.json') || key.endsWith('.begin.json')) continue;
        found.set(key, [...(found.get(key) ?? []), sink]);
      }
    }
    return found;
  }

  async #readReport(key: string, sinks: readonly PipelineSink[]): Promise<RunReport | undefined> {
    for (const sink of sinks) {
      try {
        return readRunReport(await getDocument(this.#session, sink, key), key);
      } catch (error) {
        throwIfAborted(this.#session.signal);
        this.#session.pipeline.log.warn('the record of a run cannot be read; it may name any unit', {
          sink: sink.name,
          key,
          error: toPgsiloError(error).message,
        });
      }
    }
    return undefined;
  }
}

function unitsOf({ units }: RunReport): ReadonlySet<string> {
  return new Set(units.map(({ unit }) => encodeUnit(unit)));
}
