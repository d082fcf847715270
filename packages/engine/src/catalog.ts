import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { Interned } from './interned.ts';
import { encodeUnit, manifestKey, parseManifestKey, unitPrefix, unitsPrefix } from './keys.ts';
import { readManifest } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { getDocument, listObjects } from './objects.ts';
import { readNotes } from './note-store.ts';
import type { KeysDestroyed, Notes, Pin, Proved } from './note-store.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { isSafetyBackup } from './safety-label.ts';
import { openSession, withSession } from './session.ts';
import type { EngineSession } from './session.ts';

/** A backup as the sinks show it. */
export interface CatalogEntry {
  /** The unit's name; where no manifest could be read, the key that stands for it. */
  readonly unit: string;
  readonly backup: string;
  /** Names of the sinks that hold it, in the pipeline's order. */
  readonly sinks: readonly string[];
  /** Names of the other sinks of the pipeline that should have it; those with `accept` take their choice. */
  readonly missingFrom: readonly string[];
  readonly manifest?: Manifest;
  /** Why no manifest could be read. */
  readonly error?: PgsiloError;
  readonly pin?: Pin;
  /** The keys that it was encrypted with are gone: nobody can read it. */
  readonly keysDestroyed?: KeysDestroyed;
  /** What came of restoring it in order to prove it; without it, nobody has yet. */
  readonly proved?: Proved;
}

export type FoundBackup = CatalogEntry & {
  readonly manifest: Manifest;
  /** Newer ones that hold what a restore replaced, and are therefore taken by their id only; newest first. */
  readonly passedOver: readonly string[];
};

/** Where one backup lies. */
export interface Place {
  readonly unitKey: string;
  readonly backup: string;
  readonly sinks: readonly PipelineSink[];
}

const manifestsAtOnce = 16;

/** Every backup, newest first. Keys are listed first, manifests are read as the caller goes. */
export async function* listBackups(
  pipeline: Pipeline,
  options: { readonly unit?: string; readonly sink?: string; readonly signal: AbortSignal },
): AsyncGenerator<CatalogEntry, void, undefined> {
  const session = openSession(pipeline, options.signal);
  const sinks = sinksNamed(pipeline, options.sink);
  const places = await listPlaces(session, sinks, options.unit);
  const notes = await readNotes(session, sinks, options.unit);
  for (let start = 0; start < places.length; start += manifestsAtOnce) {
    const batch = places.slice(start, start + manifestsAtOnce);
    yield* await Promise.all(batch.map((place) => readEntry(session, place, sinks, notes)));
  }
}

/** The sinks of the pipeline, or the one of this name. Throws `usage.invalid`. */
export function sinksNamed(pipeline: Pipeline, name: string | undefined): readonly PipelineSink[] {
  if (name === undefined) return pipeline.sinks;
  const found = pipeline.sinks.filter((sink) => sink.name === name);
  if (found.length === 0) {
    throw new PgsiloError('usage.invalid', `pipeline ${pipeline.name} has no sink ${JSON.stringify(name)}`, {
      hint: `Its sinks: ${pipeline.sinks.map((sink) => sink.name).join(', ')}.`,
    });
  }
  return found;
}

/** Where backups lie, newest first, then by unit. Holds one small record per backup. */
export async function listPlaces(
  session: EngineSession,
  sinks: readonly PipelineSink[],
  unit?: string,
): Promise<readonly Place[]> {
  const { name } = session.pipeline;
  const prefix = unit === undefined ? unitsPrefix(name) : unitPrefix(name, unit);
  const places = new Map<string, Map<string, Place>>();
  // Of a hundred thousand places many have the same sinks and the same run: one list and one string for all of those.
  const strings = new Interned();
  const also = new Map<readonly PipelineSink[], readonly PipelineSink[]>();
  for (const sink of sinks) {
    const alone = [sink];
    also.clear();
    try {
      for await (const { key } of listObjects(session, sink, prefix)) {
        const parsed = parseManifestKey(name, key);
        if (!parsed) continue;
        const [unitKey, backup] = [strings.get(parsed.unitKey), strings.get(parsed.backup)];
        let ofUnit = places.get(unitKey);
        if (!ofUnit) places.set(unitKey, (ofUnit = new Map<string, Place>()));
        const known = ofUnit.get(backup)?.sinks;
        if (known && !also.has(known)) also.set(known, [...known, sink]);
        ofUnit.set(backup, { unitKey, backup, sinks: known ? also.get(known)! : alone });
      }
    } catch (error) {
      throwIfAborted(session.signal);
      throw sinks.length > 1 ? unlistable(sink, error) : error;
    }
  }
  return [...places.values()]
    .flatMap((ofUnit) => [...ofUnit.values()])
    .sort((a, b) => compare(b.backup, a.backup) || compare(a.unitKey, b.unitKey));
}

/** It may hold what the others lack, so it is not passed over: the person decides to go without it. */
function unlistable(sink: PipelineSink, thrown: unknown): PgsiloError {
  const { code, message, hint } = toPgsiloError(thrown, 'sink.failed');
  return new PgsiloError(code, `sink ${sink.name} cannot be looked at: ${message}`, {
    cause: thrown,
    hint: `${hint === undefined ? '' : `${hint} `}To go without it name another sink: --sink, with restore --from.`,
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Reads a place's manifest from the first sink that gives a good one. */
export async function readPlace(session: EngineSession, place: Place): Promise<Manifest> {
  let first: PgsiloError | undefined;
  for (const sink of place.sinks) {
    try {
      return await readManifestIn(session, sink, place);
    } catch (error) {
      throwIfAborted(session.signal);
      first ??= toPgsiloError(error);
    }
  }
  throw first ?? new PgsiloError('internal', 'a backup without a sink');
}

export async function readManifestIn(
  session: EngineSession,
  sink: PipelineSink,
  place: Pick<Place, 'unitKey' | 'backup'>,
): Promise<Manifest> {
  const { name: pipeline } = session.pipeline;
  const { unitKey, backup } = place;
  const key = `${unitsPrefix(pipeline)}${unitKey}/${backup}/manifest.json`;
  return readManifest(await getDocument(session, sink, key), { key, pipeline, unitKey, backup });
}

async function readEntry(
  session: EngineSession,
  place: Place,
  sinks: readonly PipelineSink[],
  notes: Notes,
): Promise<CatalogEntry> {
  const name = `${place.unitKey}/${place.backup}`;
  const pin = notes.held.get(name);
  const keysDestroyed = notes.destroyed.get(name);
  const proved = notes.proved.get(name);
  const where = {
    backup: place.backup,
    sinks: place.sinks.map((sink) => sink.name),
    missingFrom: sinks.filter((sink) => !sink.accept && !place.sinks.includes(sink)).map((sink) => sink.name),
    ...(pin ? { pin } : {}),
    ...(keysDestroyed ? { keysDestroyed } : {}),
    ...(proved ? { proved } : {}),
  };
  try {
    const manifest = await readPlace(session, place);
    return { ...where, unit: manifest.unit.name, manifest };
  } catch (error) {
    throwIfAborted(session.signal);
    return { ...where, unit: place.unitKey, error: toPgsiloError(error) };
  }
}

export interface FindOptions {
  /** Exactly this one, good or damaged. */
  readonly backup?: string;
  /** The newest whose snapshot is not after this moment. */
  readonly before?: Date;
  readonly sink?: string;
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
    const sinks = sinksNamed(pipeline, options.sink);
    const places = await listPlaces(session, sinks, unit);
    const candidates =
      options.backup === undefined ? places : places.filter(({ backup }) => backup === options.backup);
    const notes = await readNotes(session, sinks, unit);
    const passedOver: string[] = [];
    for (const place of candidates) {
      const entry = await readEntry(session, place, sinks, notes);
      const { manifest } = entry;
      if (!manifest) throw unreadable(pipeline.name, unit, entry);
      if (options.backup === undefined && manifest.status !== 'good') continue;
      if (options.before && new Date(manifest.snapshotAt) > options.before) continue;
      if (options.backup === undefined && isSafetyBackup(manifest)) passedOver.push(place.backup);
      else return { ...entry, manifest, passedOver };
    }
    if (passedOver[0] !== undefined) throw onlySafety(unit, passedOver[0], options);
    throw await notFound(session, sinks, unit, options, places);
  });
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

function onlySafety(unit: string, newest: string, { before }: FindOptions): PgsiloError {
  const when = before ? ` not after ${before.toISOString()}` : '';
  return new PgsiloError(
    'catalog.not-found',
    `unit ${JSON.stringify(unit)} has no backup${when} but of what restores replaced; the newest of those is ${newest}`,
    { hint: `Is it what you want? Then name it: --backup ${newest}.` },
  );
}

async function notFound(
  session: EngineSession,
  sinks: readonly PipelineSink[],
  unit: string,
  options: FindOptions,
  places: readonly Place[],
): Promise<PgsiloError> {
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
  const all = await listPlaces(session, sinks);
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
