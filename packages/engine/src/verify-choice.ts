import { PgsiloError } from '@pgsilo/plugin';
import type { Place } from './catalog.ts';
import type { NewestRun } from './history.ts';
import { encodeUnit } from './keys.ts';
import type { PipelineSink } from './pipeline.ts';
import type { MissingBackup, VerifyOptions } from './verify.ts';

/** The backups to verify: of each unit the newest, one by its id, or all; of a sample of units where that is asked for. */
export function choosePlaces(places: readonly Place[], options: VerifyOptions): readonly Place[] {
  const wanted = options.units?.length
    ? new Map(options.units.map((unit) => [encodeUnit(unit), unit]))
    : undefined;
  const byUnit = new Map<string, Place[]>();
  for (const place of places) {
    if (wanted && !wanted.has(place.unitKey)) continue;
    if (options.backup !== undefined && place.backup !== options.backup) continue;
    const known = byUnit.get(place.unitKey);
    if (!known) byUnit.set(place.unitKey, [place]);
    else if (options.all) known.push(place);
  }
  const lacking = [...(wanted ?? [])]
    .filter(([key]) => !byUnit.has(key))
    .map(([, unit]) => JSON.stringify(unit));
  if (lacking.length > 0) {
    throw new PgsiloError(
      'catalog.not-found',
      `there is no backup ${options.backup ?? ''} of ${lacking.join(', ')}`.replace('  ', ' '),
    );
  }
  const units = [...byUnit.values()];
  // Which units are sampled for a restore is chosen by what was proved when.
  if (options.level === 'restore') return units.flat();
  return (options.sample === undefined ? units : sampleOf(units, options.sample)).flat();
}

function sampleOf<Item>(items: readonly Item[], count: number): readonly Item[] {
  const rest = [...items];
  return Array.from(
    { length: Math.min(count, rest.length) },
    () => rest.splice(Math.floor(Math.random() * rest.length), 1)[0] as Item,
  );
}

/** A backup whose manifest has vanished is listed nowhere; only the run's own record still knows of it. */
export function findMissing(
  { report }: NewestRun,
  sinks: readonly PipelineSink[],
  places: readonly Place[],
  options: VerifyOptions,
): readonly MissingBackup[] {
  if (options.backup !== undefined) return [];
  const missing: MissingBackup[] = [];
  for (const sink of sinks) {
    // Newest first: the first of a unit is its newest.
    const newestOf = new Map<string, string>();
    for (const { unitKey, backup } of places.filter((place) => place.sinks.includes(sink)))
      if (!newestOf.has(unitKey)) newestOf.set(unitKey, backup);
    for (const line of report?.units ?? []) {
      if (line.backup === undefined || (options.units?.length && !options.units.includes(line.unit)))
        continue;
      const stored = line.sinks.some((state) => state.sink === sink.name && state.status === 'stored');
      const newest = newestOf.get(encodeUnit(line.unit));
      // Where there is a newer one, from a run of selected units, retention may have removed it.
      if (!stored || (newest !== undefined && newest >= line.backup)) continue;
      const error = new PgsiloError(
        'sink.not-found',
        `the newest run stored ${JSON.stringify(line.unit)} ${line.backup}, and sink ${sink.name} has no manifest of it`,
      );
      missing.push({ unit: line.unit, backup: line.backup, sink: sink.name, error: error.toJSON() });
    }
  }
  return missing;
}
