import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type {
  BackupView,
  CheckOutcome,
  ErrorCode,
  RestoreRequest,
  ScratchServer,
  Source,
} from '@pgsilo/plugin';
import { openBackup } from './backup-view.ts';
import { readManifestIn } from './catalog.ts';
import type { Place } from './catalog.ts';
import { companionOf } from './companion.ts';
import { encodeUnit, runOf } from './keys.ts';
import { requestFor } from './joined-units.ts';
import type { Manifest } from './manifest.ts';
import { addNote } from './note-store.ts';
import type { Check, PipelineSink } from './pipeline.ts';
import type { Failure } from './run-records.ts';
import type { EngineSession } from './session.ts';

/** The unit of roles, which others need. */
const globalsUnit = '@globals';

/** A backup that is to be proved, and where it is read from. */
export interface Subject {
  readonly view: BackupView;
  readonly manifest: Manifest;
  readonly sink: PipelineSink;
}

/** A copy that is there, and how long it took to get it. */
export interface RestoredCopy {
  readonly target: string;
  readonly compared: string;
  readonly seconds: number;
}

/** What came of it. */
export interface Proof {
  readonly status: 'ok' | 'failed';
  readonly summary: string;
  readonly restoreSeconds?: number;
  readonly checks: readonly CheckOutcome[];
  readonly error?: Failure;
}

/** Codes that say something about the backup; all others say that it could not be tried. */
const aboutBackup: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'sink.not-found',
  'sink.corrupt',
  'transform.corrupt',
  'catalog.corrupt',
  'source.archive-invalid',
  'restore.mismatch',
  'restore.failed',
  'restore.check-failed',
]);

/** Opens a backup in a session of its own, whose scratch folder is removed when the backup was dealt with. */
export function openSubject(session: EngineSession, sink: PipelineSink, manifest: Manifest): Subject {
  return { view: openBackup(session, sink, manifest).view, manifest, sink };
}

/** The globals of the same run, as the sink has them; undefined where there are none. */
export async function globalsBeside(
  session: EngineSession,
  places: readonly Place[],
  { manifest, sink }: Subject,
): Promise<BackupView | undefined> {
  const unitKey = encodeUnit(globalsUnit);
  const place = places.find(
    (one) =>
      one.unitKey === unitKey && runOf(one.backup) === runOf(manifest.backup) && one.sinks.includes(sink),
  );
  if (!place || manifest.unit.name === globalsUnit) return undefined;
  try {
    return openBackup(session, sink, await readManifestIn(session, sink, place)).view;
  } catch (error) {
    throwIfAborted(session.signal);
    session.pipeline.log.warn(
      'the roles of the same run cannot be read; others that can do nothing take their places',
      {
        unit: manifest.unit.name,
        error: toPgsiloError(error).message,
      },
    );
    return undefined;
  }
}

export interface CopyOptions {
  /** Workers of the restore. */
  readonly jobs: number;
  /** The database that the unit is put into with others; undefined: one of its own. */
  readonly into?: { readonly database: string; readonly restore: Source['restore'] };
}

/** Restores a copy, timed from the first byte that is fetched. */
export async function restoreCopy(
  session: EngineSession,
  server: ScratchServer,
  { view, manifest, sink }: Subject,
  globals: BackupView | undefined,
  { jobs, into }: CopyOptions,
): Promise<RestoredCopy> {
  const { clock, source } = session.pipeline;
  const context = session.context(1 / session.pipeline.limits.jobs);
  const began = clock.now().getTime();
  await server.prepare(view, globals, context);
  const to = into?.database ?? server.copyName(view);
  const place = { toServer: server.connection, ...(to === undefined ? {} : { to }) };
  const request: RestoreRequest = {
    ...requestFor(view, { ...place, jobs, owner: true }),
    companion: async (unit) => {
      const found = await companionOf(session, sink, manifest, unit);
      if (found) await server.prepare(found, globals, context);
      return found;
    },
  };
  const restoration = await (into?.restore(request, context) ?? source.source.restore(request, context));
  try {
    const { target, compared } = await restoration.run();
    return { target, compared, seconds: (clock.now().getTime() - began) / 1000 };
  } finally {
    await restoration.close();
  }
}

/** Looks at a copy. Throws only after an abort. */
export async function examineCopy(
  session: EngineSession,
  server: ScratchServer,
  { view, manifest }: Subject,
  { target, compared, seconds }: RestoredCopy,
): Promise<Proof> {
  const checks = (session.pipeline.checks ?? []).filter((check) => isFor(check, manifest));
  try {
    const found = await server.examine(
      target,
      view,
      checks,
      session.context(1 / session.pipeline.limits.jobs),
    );
    const failed = found.checks.filter(({ status }) => status === 'failed');
    const sentences = [
      ...(found.differences.length === 0
        ? []
        : [`the schema is not the archive's: ${first(found.differences)}`]),
      ...failed.map(({ name, message }) => `check ${JSON.stringify(name)}: ${message}`),
    ];
    const counted =
      checks.length === 0 ? [] : [`${checks.length === 1 ? '1 check' : `${checks.length} checks`}`];
    const summary = [compared, ...found.compared, ...counted].join('; ');
    const result = { summary, restoreSeconds: seconds, checks: found.checks };
    if (sentences.length === 0) return { ...result, status: 'ok' };
    const error = new PgsiloError('restore.check-failed', sentences.join('\n'));
    return { ...result, status: 'failed', error: error.toJSON() };
  } catch (thrown) {
    return failedProof(session, thrown, seconds);
  }
}

/** What is said of a backup whose copy could not be made or looked at. Throws after an abort. */
export function failedProof(session: EngineSession, thrown: unknown, seconds?: number): Proof {
  throwIfAborted(session.signal);
  const error = toPgsiloError(thrown, 'restore.failed').toJSON();
  return {
    status: 'failed',
    summary: '',
    checks: [],
    error,
    ...(seconds === undefined ? {} : { restoreSeconds: seconds }),
  };
}

/** Keeps what came of it as a note, beside the backup that was read. That it cannot be kept is told, and changes nothing about the proof. */
export async function noteProof(
  session: EngineSession,
  { manifest, sink }: Subject,
  proof: Proof,
): Promise<void> {
  const { clock, log } = session.pipeline;
  const code = proof.error?.code;
  const result = code === undefined ? 'ok' : aboutBackup.has(code) ? 'failed' : 'unproved';
  try {
    await addNote(session, sink, {
      kind: 'verified',
      unit: manifest.unit.name,
      backup: manifest.backup,
      at: clock.now().toISOString(),
      level: 'restore',
      result,
      ...(proof.restoreSeconds === undefined ? {} : { seconds: proof.restoreSeconds }),
      ...(code === undefined ? {} : { code }),
    });
  } catch (error) {
    throwIfAborted(session.signal);
    log.warn('what came of a proof could not be kept beside the backup, so that nobody will know of it', {
      unit: manifest.unit.name,
      backup: manifest.backup,
      sink: sink.name,
      error: toPgsiloError(error).message,
    });
  }
}

/** Removes a copy; that it cannot be is told. */
export async function removeCopy(
  session: EngineSession,
  server: ScratchServer,
  { view }: Subject,
): Promise<void> {
  // What is aborted ends with the server.
  if (session.signal.aborted) return;
  try {
    await server.remove(view, session.context());
  } catch (error) {
    session.pipeline.log.warn('a restored copy was not removed', {
      unit: view.unit.name,
      error: toPgsiloError(error).message,
    });
  }
}

/** A check without `units` is for tenants; with a `database` for units that hold several, which are no tenant's. */
function isFor({ units, where = {}, database }: Check, { unit, labels }: Manifest): boolean {
  const all: Readonly<Record<string, string>> = { ...labels, ...unit.labels };
  if (!Object.entries(where).every(([label, value]) => all[label] === value)) return false;
  return units ? units.includes(unit.name) : unit.name.startsWith('@') === (database !== undefined);
}

const shownDifferences = 10;

function first(differences: readonly string[]): string {
  const more = differences.length - shownDifferences;
  return `${differences.slice(0, shownDifferences).join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}
