import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Recovery, RecoveryUnit } from '@pgsilo/plugin';
import { findBackups } from './find-backup.ts';
import type { FoundBackup } from './find-backup.ts';
import { finishInPasses, finishUnits, stagesOf } from './joined-units.ts';
import type { Finished } from './joined-units.ts';
import type { Pipeline } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import type { RestoreAllOptions } from './restore-all.ts';
import { restoreOne } from './restore-one.ts';
import type { RestoredUnit } from './restore-one.ts';

/** The way through a restore of everything: what became of each unit so far. What goes wrong with one stands in its result. */
export class RestoreCourse {
  readonly #pipeline: Pipeline;
  readonly #recovery: Recovery;
  readonly #options: RestoreAllOptions;
  /** By unit, in the order in which they ended. */
  readonly #units = new Map<string, RestoredUnit>();

  /** @param pipeline without hooks: these stand around all of it, once. */
  constructor(pipeline: Pipeline, recovery: Recovery, options: RestoreAllOptions) {
    this.#pipeline = pipeline;
    this.#recovery = recovery;
    this.#options = options;
  }

  get units(): readonly RestoredUnit[] {
    return [...this.#units.values()];
  }

  /** How many of these are restored at once. */
  atOnce(units: number): number {
    return Math.max(1, Math.min(this.#pipeline.limits.jobs, units));
  }

  /** Restores units that come first one after another, others at once; joined ones in the order that they need. */
  async restore(wanted: readonly RecoveryUnit[], which: 'first' | 'others'): Promise<void> {
    const found = await this.#find(wanted);
    for (const stage of await this.#stages(wanted, which, found)) {
      const atOnce = this.atOnce(stage.length);
      await eachLimited(stage, atOnce, (unit) => this.#one(unit, found.get(unit.unit), atOnce));
    }
  }

  /** Makes what joined units lack, as far as it can be made now. @param which of the units had their turn. */
  async finish(which: 'first' | 'all'): Promise<void> {
    const { joined, first } = this.#recovery;
    const database = first.find(({ to }) => to !== undefined)?.to;
    if (!joined || database === undefined) return;
    const only = which === 'all' ? undefined : new Set(first.map(({ unit }) => unit));
    const pass = async (last: boolean): Promise<number> => {
      const finished = await finishUnits(this.#pipeline, { joined, database, only, last }, this.#options);
      for (const each of finished) this.#finished(each, last);
      return finished.reduce((sum, { lacks }) => sum + lacks.length, 0);
    };
    await (which === 'all' ? finishInPasses(pass) : pass(false));
  }

  #finished({ unit, backup, lacks, warnings }: Finished, last: boolean): void {
    for (const what of lacks) this.#pipeline.log[last ? 'warn' : 'debug']('cannot be made', { unit, what });
    if (!last) return;
    const known = this.#units.get(unit) ?? { unit, backup, status: 'present', seconds: 0, warnings: [] };
    const line = { ...known, warnings: [...known.warnings, ...warnings] };
    const there = line.status === 'restored' || line.status === 'present';
    this.#units.set(unit, there && lacks.length > 0 ? incomplete(line, lacks) : line);
  }

  async #find(wanted: readonly RecoveryUnit[]): Promise<ReadonlyMap<string, FoundBackup | PgsiloError>> {
    const names = wanted.map(({ unit }) => unit);
    try {
      return await findBackups(this.#pipeline, names, whichOf(this.#options));
    } catch (thrown) {
      // Each tells of it at its turn.
      const error = toPgsiloError(thrown);
      return new Map(names.map((name) => [name, error]));
    }
  }

  async #stages(
    wanted: readonly RecoveryUnit[],
    which: 'first' | 'others',
    found: ReadonlyMap<string, FoundBackup | PgsiloError>,
  ): Promise<readonly (readonly RecoveryUnit[])[]> {
    const { joined } = this.#recovery;
    if (!joined) return which === 'first' ? wanted.map((unit) => [unit]) : [wanted];
    const stages = await stagesOf(this.#pipeline, joined, found, this.#options.signal);
    const byName = new Map(wanted.map((unit) => [unit.unit, unit]));
    const placed = new Set(stages.flat());
    return [
      wanted.filter(({ unit }) => !placed.has(unit)),
      ...stages.map((stage) => stage.map((unit) => byName.get(unit)!)),
    ].filter((stage) => stage.length > 0);
  }

  async #one(
    unit: RecoveryUnit,
    found: FoundBackup | PgsiloError | undefined,
    atOnce: number,
  ): Promise<void> {
    const { signal, observe } = this.#options;
    const before = this.#units.get(unit.unit);
    if (before && before.status !== 'failed') return;
    if (signal.aborted) return this.#set({ unit: unit.unit, status: 'not-begun', seconds: 0, warnings: [] });
    if (!before) observe?.({ type: 'unit-started', unit: unit.unit });
    const limits = { ...this.#pipeline.limits, memory: this.#pipeline.limits.memory / atOnce };
    const done = await restoreOne(
      { ...this.#pipeline, limits },
      unit,
      found ?? new PgsiloError('internal', 'a unit whose backup was not looked for'),
      this.#options,
      this.#recovery.joined?.restore,
    );
    this.#set(done);
    if (!before) observe?.({ type: 'unit-done', unit: done });
  }

  /** A second try goes to the end of the list, as it ended last. */
  #set(line: RestoredUnit): void {
    this.#units.delete(line.unit);
    this.#units.set(line.unit, line);
  }
}

/** Which backups, and from where. */
export function whichOf({ before, sink, signal }: RestoreAllOptions): Parameters<typeof findBackups>[2] {
  return { ...(before === undefined ? {} : { before }), ...(sink === undefined ? {} : { sink }), signal };
}

function incomplete(line: RestoredUnit, lacks: readonly string[]): RestoredUnit {
  const error = new PgsiloError(
    'restore.failed',
    `${JSON.stringify(line.unit)} is there, but this could not be made:\n${lacks.map((each) => `- ${each}`).join('\n')}`,
    { hint: 'Restore what it needs, and run the same command again: it makes what is left.' },
  );
  return { ...line, status: 'failed', error: error.toJSON() };
}
