import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { Interned } from './interned.ts';
import { parseManifestKey, unitPrefix, unitsPrefix } from './keys.ts';
import { readManifest } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { getDocument, listObjects } from './objects.ts';
import { readNotes } from './note-store.ts';
import type { KeysDestroyed, Notes, Pin, Proved } from './note-store.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { openSession } from './session.ts';
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

/** Where one backup lies. */
export interface Place {
  readonly unitKey: string;
  readonly backup: string;
  readonly sinks: readonly PipelineSink[];
}

const manifestsAtOnce = 16;

/** A sink that is not `required` and could not be looked at: what it holds is not known. */
export interface UnseenSink {
  readonly sink: string;
  readonly error: PgsiloError;
}

export interface ListOptions {
  readonly unit?: string;
  readonly sink?: string;
  /** Where it is given, sinks that are not required may be out of reach: they are added to it before the first entry comes. Otherwise that is thrown. */
  readonly unseen?: UnseenSink[];
  readonly signal: AbortSignal;
}

/** Every backup, newest first. Keys are listed first, manifests are read as the caller goes. */
export async function* listBackups(
  pipeline: Pipeline,
  options: ListOptions,
): AsyncGenerator<CatalogEntry, void, undefined> {
  const session = openSession(pipeline, options.signal);
  const wanted = sinksNamed(pipeline, options.sink);
  const unseen = options.unseen ?? [];
  const places = await listPlaces(session, wanted, options.unit, options.unseen);
  const sinks = wanted.filter((sink) => !unseen.some((one) => one.sink === sink.name));
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

/**
 * Where backups lie, newest first, then by unit. Holds one small record per backup. Throws when a sink cannot be looked at: it may hold what the others lack.
 * @param unseen where it is given, such sinks are added to it instead, unless they are required or no other one is left.
 */
export async function listPlaces(
  session: EngineSession,
  sinks: readonly PipelineSink[],
  unit?: string,
  unseen?: UnseenSink[],
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
      if (sinks.length === 1) throw error;
      const refused = unlistable(sink, error);
      if (unseen === undefined || sink.required) throw refused;
      // What was listed before it failed is no more than a part.
      forget(places, sink);
      unseen.push({ sink: sink.name, error: refused });
      if (unseen.length === sinks.length) throw refused;
      session.pipeline.log.warn('a sink cannot be looked at, and what it holds is not known', {
        sink: sink.name,
        error: toPgsiloError(error, 'sink.failed').message,
      });
    }
  }
  return [...places.values()]
    .flatMap((ofUnit) => [...ofUnit.values()])
    .sort((a, b) => compare(b.backup, a.backup) || compare(a.unitKey, b.unitKey));
}

function forget(places: Map<string, Map<string, Place>>, sink: PipelineSink): void {
  for (const ofUnit of places.values())
    for (const [backup, place] of ofUnit) {
      if (!place.sinks.includes(sink)) continue;
      const others = place.sinks.filter((one) => one !== sink);
      if (others.length === 0) ofUnit.delete(backup);
      else ofUnit.set(backup, { ...place, sinks: others });
    }
}

/** It may hold what the others lack: the person decides to go without it. */
function unlistable(sink: PipelineSink, thrown: unknown): PgsiloError {
  const { code, message, hint } = toPgsiloError(thrown, 'sink.failed');
  return new PgsiloError(code, `sink ${sink.name} cannot be looked at: ${message}`, {
    cause: thrown,
    hint: `${hint === undefined ? '' : `${hint} `}To go without it name another sink (--sink, with restore --from), or the backup itself.`,
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

export async function readEntry(
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
