import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { listPlaces, readEntry, sinksNamed } from './catalog.ts';
import type { CatalogEntry, Place, UnseenSink } from './catalog.ts';
import { encodeUnit, manifestKey } from './keys.ts';
import type { Manifest } from './manifest.ts';
import { readNotes } from './note-store.ts';
import type { Notes } from './note-store.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { isSafetyBackup } from './safety-label.ts';
import { withSession } from './session.ts';
import type { EngineSession } from './session.ts';

export type FoundBackup = CatalogEntry & {
  readonly manifest: Manifest;
  /** Newer ones that hold what a restore replaced, and are therefore taken by their id only; newest first. */
  readonly passedOver: readonly string[];
  /** Newer ones from which nothing leads to what is wanted, and why; newest first. */
  readonly unfit: readonly UnfitBackup[];
};

export interface UnfitBackup {
  readonly backup: string;
  /** In words that follow the id. */
  readonly why: string;
}

export interface FindOptions {
  /** Exactly this one, good or damaged. */
  readonly backup?: string;
  /** The newest whose snapshot is not after this moment. */
  readonly before?: Date;
  readonly sink?: string;
  /**
   * With `backup`: a sink that is not required may be out of reach. Without it never: it may hold a newer one, and an older backup than the person
   * expects would be restored.
   */
  readonly passOver?: boolean;
  /** Why a backup cannot be taken, in words that follow its id; undefined: it can. With `backup` that is an error, without it the next older one is looked at. */
  obstacle?(manifest: Manifest): Promise<string | undefined>;
  readonly signal: AbortSignal;
}

/**
 * The backup that is asked for, by default the newest good one that is no safety backup. Throws `catalog.not-found`.
 * A manifest that cannot be read is never passed over in silence: an older backup than the person expects would be restored.
 */
export async function findBackup(
  pipeline: Pipeline,
  unit: string,
  options: FindOptions,
): Promise<FoundBackup> {
  return withSession(pipeline, options.signal, async (session) => {
    const wanted = sinksNamed(pipeline, options.sink);
    const unseen: UnseenSink[] = [];
    const passOver = options.passOver === true && options.backup !== undefined;
    const places = await listPlaces(session, wanted, unit, passOver ? unseen : undefined);
    const sinks = wanted.filter((sink) => !unseen.some((one) => one.sink === sink.name));
    const notes = await readNotes(session, sinks, unit);
    const all = (): Promise<readonly Place[]> => listPlaces(session, sinks);
    return choose({ session, sinks, unseen, places, notes, all }, unit, options);
  });
}

/** The same for each of many units, from one listing of the sinks: the backup, or why there is none. */
export async function findBackups(
  pipeline: Pipeline,
  units: readonly string[],
  options: Omit<FindOptions, 'backup' | 'passOver'>,
): Promise<ReadonlyMap<string, FoundBackup | PgsiloError>> {
  return withSession(pipeline, options.signal, async (session) => {
    const sinks = sinksNamed(pipeline, options.sink);
    const listed = await listPlaces(session, sinks);
    const byUnit = Map.groupBy(listed, ({ unitKey }) => unitKey);
    const notes = await readNotes(session, sinks);
    const all = (): Promise<readonly Place[]> => Promise.resolve(listed);
    const found = new Map<string, FoundBackup | PgsiloError>();
    await eachLimited(units, manifestsAtOnce, async (unit) => {
      const places = byUnit.get(encodeUnit(unit)) ?? [];
      try {
        found.set(unit, await choose({ session, sinks, unseen: [], places, notes, all }, unit, options));
      } catch (error) {
        throwIfAborted(options.signal);
        found.set(unit, toPgsiloError(error));
      }
    });
    return found;
  });
}

const manifestsAtOnce = 16;

/** What is known of a unit's backups. */
interface Listing {
  readonly session: EngineSession;
  /** Those that were looked at. */
  readonly sinks: readonly PipelineSink[];
  readonly unseen: readonly UnseenSink[];
  /** The unit's, newest first. */
  readonly places: readonly Place[];
  readonly notes: Notes;
  /** Those of all units, for a hint. */
  readonly all: () => Promise<readonly Place[]>;
}

async function choose(listing: Listing, unit: string, options: FindOptions): Promise<FoundBackup> {
  const { session, sinks, unseen, places, notes } = listing;
  const candidates =
    options.backup === undefined ? places : places.filter(({ backup }) => backup === options.backup);
  const passedOver: string[] = [];
  const unfit: UnfitBackup[] = [];
  for (const place of candidates) {
    const entry = await readEntry(session, place, sinks, notes);
    const { manifest } = entry;
    if (!manifest) throw unreadable(session.pipeline.name, unit, entry);
    if (options.backup === undefined && manifest.status !== 'good') continue;
    if (options.before && new Date(manifest.snapshotAt) > options.before) continue;
    if (options.backup === undefined && isSafetyBackup(manifest)) {
      passedOver.push(place.backup);
      continue;
    }
    const why = await options.obstacle?.(manifest);
    if (why === undefined) return { ...entry, manifest, passedOver, unfit };
    if (options.backup !== undefined) throw cannotServe({ backup: place.backup, why });
    unfit.push({ backup: place.backup, why });
  }
  // It may be there.
  if (unseen[0]) throw unseen[0].error;
  if (unfit[0]) throw noneServes(unit, unfit);
  if (passedOver[0] !== undefined) throw onlySafety(unit, passedOver[0], options);
  throw notFound(unit, options, places, places.length > 0 ? [] : await listing.all());
}

function unreadable(pipeline: string, unit: string, entry: CatalogEntry): PgsiloError {
  const key = manifestKey(pipeline, unit, entry.backup);
  const otherwise = 'Choose another backup with --backup; `pgsilo list` shows them.';
  return new PgsiloError(
    entry.error?.code ?? 'catalog.corrupt',
    `the manifest ${key} in sink ${entry.sinks.join(', ')} cannot be used: ${entry.error?.message}`,
    {
      cause: entry.error,
      hint: entry.error?.hint === undefined ? otherwise : `${entry.error.hint} ${otherwise}`,
    },
  );
}

function cannotServe({ backup, why }: UnfitBackup): PgsiloError {
  return new PgsiloError('restore.refused', `backup ${backup} ${why}`, {
    hint: 'Choose an older backup, or leave --backup out.',
  });
}

function noneServes(unit: string, unfit: readonly UnfitBackup[]): PgsiloError {
  const { backup, why } = unfit.at(-1)!;
  return new PgsiloError(
    'catalog.not-found',
    `none of the ${unfit.length} backups of unit ${JSON.stringify(unit)} leads there; the oldest, ${backup}, ${why}`,
    { hint: 'It takes an older backup, or another --timeline.' },
  );
}

function onlySafety(unit: string, newest: string, { before }: FindOptions): PgsiloError {
  const when = before ? ` not after ${before.toISOString()}` : '';
  return new PgsiloError(
    'catalog.not-found',
    `unit ${JSON.stringify(unit)} has no backup${when} but of what restores replaced; the newest of those is ${newest}`,
    { hint: `Is it what you want? Then name it: --backup ${newest}.` },
  );
}

function notFound(
  unit: string,
  options: FindOptions,
  places: readonly Place[],
  all: readonly Place[],
): PgsiloError {
  const name = JSON.stringify(unit);
  if (places.length > 0) {
    const [newest, oldest] = [places[0]!.backup, places.at(-1)!.backup];
    const wanted =
      options.backup ?? (options.before ? `not after ${options.before.toISOString()}` : 'with status good');
    return new PgsiloError(
      'catalog.not-found',
      `unit ${name} has no backup ${wanted}; it has ${places.length}, from ${oldest} to ${newest}`,
      {
        hint: 'The times of all of them: `pgsilo list FILE UNIT`.',
      },
    );
  }
  const units = new Set(all.map(({ unitKey }) => unitKey));
  const wanted = encodeUnit(unit);
  const near = [...units].filter((key) => key.includes(wanted) || wanted.includes(key)).slice(0, 5);
  const hint =
    units.size === 0
      ? 'The pipeline has no backups yet.'
      : near.length > 0
        ? `Near: ${near.join(', ')}.`
        : `There are backups of ${units.size} units: \`pgsilo list FILE\`.`;
  return new PgsiloError('catalog.not-found', `there is no backup of unit ${name}`, { hint });
}
