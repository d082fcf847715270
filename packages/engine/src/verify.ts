import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { CheckOutcome, Inspection } from '@pgsilo/plugin';
import { openBackup, readStored } from './backup-view.ts';
import { listPlaces, readManifestIn, sinksNamed } from './catalog.ts';
import type { Place, UnseenSink } from './catalog.ts';
import { newestRunAnywhere } from './history.ts';
import type { DamagedRecord } from './history.ts';
import type { Manifest } from './manifest.ts';
import { readNotes } from './note-store.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import type { Failure } from './run-records.ts';
import { proveBackups } from './prove-backups.ts';
import { withSession } from './session.ts';
import type { EngineSession } from './session.ts';
import { choosePlaces, findMissing } from './verify-choice.ts';

/** `objects`: every stored object is there, with its size and SHA-256. `decode`: besides, transforms are undone, and the archive is read to its end and compared with its fingerprint. `restore`: it is restored into scratch, compared and asked the pipeline's checks. */
export type VerifyLevel = 'objects' | 'decode' | 'restore';

export interface VerifyOptions {
  /** Names; undefined: all. */
  readonly units?: readonly string[];
  /** This backup of each unit rather than the newest. */
  readonly backup?: string;
  /** Every backup rather than the newest of each unit. */
  readonly all?: boolean;
  readonly sink?: string;
  readonly level: VerifyLevel;
  /** So many of the units: chosen at random, at level `restore` those first that were not tried for longest. */
  readonly sample?: number;
  readonly signal: AbortSignal;
  readonly observe?: (event: VerifyEvent) => void;
}

export interface VerifiedBackup {
  readonly unit: string;
  readonly backup: string;
  readonly sink: string;
  /** `skipped`: it cannot be proved in this way; `summary` says why. */
  readonly status: 'ok' | 'failed' | 'skipped';
  /** Stored bytes. */
  readonly bytes: number;
  readonly seconds: number;
  /** At level `restore`: seconds that the restore alone took, as it would when it counts. */
  readonly restoreSeconds?: number;
  readonly checks?: readonly CheckOutcome[];
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
    if (options.level === 'restore') {
      const proved = await proveBackups(session, { places, chosen, notes }, options);
      const bad =
        missing.length + records.length + unseen.length > 0 ||
        proved.some(({ status }) => status === 'failed');
      return {
        status: bad ? 'failed' : 'ok',
        level: options.level,
        checked: proved,
        missing,
        unseen,
        records,
      };
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
