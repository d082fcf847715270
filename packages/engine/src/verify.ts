import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { Inspection } from '@pgsilo/plugin';
import { openBackup, readStored } from './backup-view.ts';
import { listPlaces, readManifestIn, sinksNamed } from './catalog.ts';
import type { Place, UnseenSink } from './catalog.ts';
import { newestRunAnywhere } from './history.ts';
import type { DamagedRecord, NewestRun } from './history.ts';
import { encodeUnit } from './keys.ts';
import type { Manifest } from './manifest.ts';
import { readNotes } from './note-store.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import type { Failure } from './run-records.ts';
import { withSession } from './session.ts';
import type { EngineSession } from './session.ts';

/** `objects`: every stored object is there, with its size and SHA-256. `decode`: besides, transforms are undone, and the archive is read to its end and compared with its fingerprint. */
export type VerifyLevel = 'objects' | 'decode';

export interface VerifyOptions {
  /** Names; undefined: all. */
  readonly units?: readonly string[];
  /** This backup of each unit rather than the newest. */
  readonly backup?: string;
  /** Every backup rather than the newest of each unit. */
  readonly all?: boolean;
  readonly sink?: string;
  readonly level: VerifyLevel;
  /** So many of the units, chosen at random. */
  readonly sample?: number;
  readonly signal: AbortSignal;
  readonly observe?: (event: VerifyEvent) => void;
}

export interface VerifiedBackup {
  readonly unit: string;
  readonly backup: string;
  readonly sink: string;
  readonly status: 'ok' | 'failed';
  /** Stored bytes. */
  readonly bytes: number;
  readonly seconds: number;
  readonly summary?: string;
  readonly error?: Failure;
}

export interface MissingBackup {
  readonly unit: string;
  readonly backup: string;
  readonly sink: string;
  readonly error: Failure;
}

export type VerifyEvent =
  | { readonly type: 'checking'; readonly unit: string; readonly backup: string; readonly sink: string }
  | ({ readonly type: 'checked' } & VerifiedBackup);

export interface VerifyReport {
  readonly status: 'ok' | 'failed';
  readonly level: VerifyLevel;
  readonly checked: readonly VerifiedBackup[];
  /** What the newest run says it stored and a sink does not list. */
  readonly missing: readonly MissingBackup[];
  /** Sinks that are not required and could not be looked at: nothing is known of what they hold, so that the report is no success. */
  readonly unseen: readonly UnseenSink[];
  /** Records of runs and notes that cannot be read: what they said is not known. */
  readonly records: readonly DamagedRecord[];
}

/** Reads backups back from every sink that has them and proves them. Throws when there is nothing to verify: that is no success. */
export async function verify(pipeline: Pipeline, options: VerifyOptions): Promise<VerifyReport> {
  return withSession(pipeline, options.signal, async (session) => {
    const wanted = sinksNamed(pipeline, options.sink);
    const unseen: UnseenSink[] = [];
    const places = await listPlaces(session, wanted, undefined, unseen);
    const sinks = wanted.filter((sink) => !unseen.some((one) => one.sink === sink.name));
    const chosen = choosePlaces(places, options);
    const newest = await newestRunAnywhere(session);
    const missing = findMissing(newest, sinks, places, options);
    const notes = await readNotes(session, sinks);
    const records = [...newest.damaged, ...notes.damaged];
    if (chosen.length + missing.length === 0) {
      throw new PgsiloError('catalog.not-found', 'there is nothing to verify', {
        hint: '`pgsilo list FILE` shows what there is.',
      });
    }
    const checked: VerifiedBackup[] = [];
    const work = chosen.flatMap((place) => place.sinks.map((sink) => ({ place, sink })));
    await eachLimited(work, pipeline.limits.jobs, async ({ place, sink }) => {
      // Nobody can decode it, which is how it was meant: its objects can still be looked at.
      const gone = notes.destroyed.has(`${place.unitKey}/${place.backup}`);
      const result = await verifyIn(session, sink, place, gone ? { ...options, level: 'objects' } : options);
      const checkedOne =
        gone && result.summary !== undefined
          ? { ...result, summary: `${result.summary}, its keys were destroyed` }
          : result;
      checked.push(checkedOne);
      options.observe?.({ type: 'checked', ...checkedOne });
    });
    const failed =
      missing.length + records.length + unseen.length > 0 ||
      checked.some(({ status }) => status === 'failed');
    return { status: failed ? 'failed' : 'ok', level: options.level, checked, missing, unseen, records };
  });
}

function choosePlaces(places: readonly Place[], options: VerifyOptions): readonly Place[] {
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
function findMissing(
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

async function verifyIn(
  session: EngineSession,
  sink: PipelineSink,
  place: Place,
  options: VerifyOptions,
): Promise<VerifiedBackup> {
  const { clock } = session.pipeline;
  const began = clock.now().getTime();
  let unit = place.unitKey;
  let bytes = 0;
  const result = (): Omit<VerifiedBackup, 'status'> => ({
    unit,
    backup: place.backup,
    sink: sink.name,
    bytes,
    seconds: (clock.now().getTime() - began) / 1000,
  });
  try {
    const manifest = await readManifestIn(session, sink, place);
    unit = manifest.unit.name;
    bytes = manifest.artifacts.reduce((total, artifact) => total + artifact.storedBytes, 0);
    options.observe?.({ type: 'checking', unit, backup: place.backup, sink: sink.name });
    if (manifest.status === 'damaged')
      throw new PgsiloError(
        'source.archive-invalid',
        'the server reported damage while this backup was made',
      );
    const summary =
      options.level === 'objects'
        ? await readObjects(session, sink, manifest)
        : await readArtifacts(session, sink, manifest);
    return { ...result(), status: 'ok', summary };
  } catch (thrown) {
    if (session.signal.aborted) throw thrown;
    return { ...result(), status: 'failed', error: toPgsiloError(thrown).toJSON() };
  }
}

async function readObjects(session: EngineSession, sink: PipelineSink, manifest: Manifest): Promise<string> {
  for (const artifact of manifest.artifacts) await drain(readStored(session, sink, manifest, artifact));
  return `${manifest.artifacts.length} objects`;
}

async function readArtifacts(
  session: EngineSession,
  sink: PipelineSink,
  manifest: Manifest,
): Promise<string> {
  const { view, proved } = openBackup(session, sink, manifest);
  // The source reads what it understands; the rest is read here, so that nothing passes unread.
  const readRest = async (): Promise<void> => {
    for (const artifact of view.artifacts) if (!proved.has(artifact.name)) await drain(artifact.open());
  };
  let inspection: Inspection | undefined;
  try {
    inspection = await session.pipeline.source.source.inspect?.(view, session.context(0.5));
  } catch (error) {
    throwIfAborted(session.signal);
    // A source that stumbles over altered bytes blames what they say; that they were altered is the cause.
    await readRest();
    throw error;
  }
  await readRest();
  return inspection?.summary ?? `${view.artifacts.length} artifacts`;
}

async function drain(body: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of body);
}
