import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { listPlaces, readManifestIn } from './catalog.ts';
import type { Place } from './catalog.ts';
import { newestRunAnywhere } from './history.ts';
import { encodeUnit } from './keys.ts';
import type { Manifest } from './manifest.ts';
import { readNotes } from './note-store.ts';
import type { PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import type { Failure } from './run-records.ts';
import type { EngineSession } from './session.ts';

const manifestsAtOnce = 16;

/** A unit of the newest run, and what there is of it. */
export interface DrillUnit {
  readonly unit: string;
  /** The backup that the newest run made of it; where it made none, the newest good one. */
  readonly chosen?: { readonly manifest: Manifest; readonly sink: PipelineSink };
  /** The moment whose state the newest good backup of it holds, whichever run made it. */
  readonly newestGood?: Date;
  /** Why nothing is chosen. */
  readonly error?: Failure;
}

export interface DrillUnits {
  readonly run: string;
  readonly units: readonly DrillUnit[];
  /** Of the sinks that were looked at; newest first. */
  readonly places: readonly Place[];
  readonly warnings: readonly string[];
}

/** What a recovery would start from: the units of the newest whole run. Throws `catalog.not-found` when there was none. */
export async function findDrillUnits(
  session: EngineSession,
  sinks: readonly PipelineSink[],
): Promise<DrillUnits> {
  const { report, damaged } = await newestRunAnywhere(session);
  if (!report)
    throw new PgsiloError(
      'catalog.not-found',
      `pipeline ${session.pipeline.name} has no whole run to be restored`,
      {
        hint: 'Back everything up first: `pgsilo backup FILE`. Runs with --only or --where do not count.',
      },
    );
  const warnings = damaged.map(
    ({ key, sink }) => `a later run may have been made: its record ${key} in sink ${sink} cannot be read`,
  );
  const places = await listPlaces(session, sinks);
  const byUnit = Map.groupBy(places, ({ unitKey }) => unitKey);
  const { destroyed } = await readNotes(session, sinks);
  const units: DrillUnit[] = [];
  await eachLimited(report.units.entries(), manifestsAtOnce, async ([index, line]) => {
    const own = (byUnit.get(encodeUnit(line.unit)) ?? []).filter(
      ({ unitKey, backup }) => !destroyed.has(`${unitKey}/${backup}`),
    );
    const wanted = line.status === 'good' ? line.backup : undefined;
    const { unit, replaced } = await choose(session, line.unit, own, wanted);
    units[index] = unit;
    if (replaced !== undefined) warnings.push(replaced);
  });
  return { run: report.run, units, places, warnings };
}

/** @param own the unit's backups, newest first. @param wanted the one of the newest run, if it made a good one. */
async function choose(
  session: EngineSession,
  unit: string,
  own: readonly Place[],
  wanted: string | undefined,
): Promise<{ readonly unit: DrillUnit; readonly replaced?: string }> {
  let chosen: DrillUnit['chosen'];
  let newestGood: Date | undefined;
  let failure: Failure | undefined;
  for (const place of own) {
    // What is older than the one that is wanted is of no interest once both questions are answered.
    if (newestGood && (chosen || wanted === undefined)) break;
    try {
      const sink = place.sinks[0] as PipelineSink;
      const manifest = await readManifestIn(session, sink, place);
      if (manifest.status !== 'good') continue;
      newestGood ??= new Date(manifest.snapshotAt);
      if (wanted === undefined || place.backup === wanted) chosen ??= { manifest, sink };
    } catch (error) {
      throwIfAborted(session.signal);
      failure ??= toPgsiloError(error).toJSON();
      if (place.backup === wanted) break;
    }
  }
  const age = newestGood ? { newestGood } : {};
  if (chosen) {
    const replaced =
      wanted === undefined
        ? `the newest run made no good backup of ${JSON.stringify(unit)}; ${chosen.manifest.backup} is restored instead`
        : undefined;
    return { unit: { unit, chosen, ...age }, ...(replaced === undefined ? {} : { replaced }) };
  }
  const missing = new PgsiloError(
    'catalog.not-found',
    wanted === undefined
      ? `there is no good backup of ${JSON.stringify(unit)}`
      : `the newest run stored ${JSON.stringify(unit)} ${wanted}, and no sink that was looked at has it`,
  );
  return { unit: { unit, ...age, error: failure ?? missing.toJSON() } };
}
