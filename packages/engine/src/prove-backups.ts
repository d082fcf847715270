import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { readManifestIn } from './catalog.ts';
import type { Place } from './catalog.ts';
import type { Manifest } from './manifest.ts';
import type { Notes } from './note-store.ts';
import type { PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { ProofServers } from './proof-servers.ts';
import {
  examineCopy,
  failedProof,
  globalsBeside,
  noteProof,
  openSubject,
  removeCopy,
  restoreCopy,
} from './prove.ts';
import type { Proof, Subject } from './prove.ts';
import { withSession } from './session.ts';
import type { EngineSession } from './session.ts';
import type { VerifiedBackup, VerifyOptions } from './verify.ts';

/** Workers of one restore at most; as many as `pgsilo restore` uses. */
const mostJobs = 4;

export interface ProofWork {
  /** All backups, among them the globals beside those that are chosen. */
  readonly places: readonly Place[];
  readonly chosen: readonly Place[];
  readonly notes: Notes;
}

/** Restores backups into scratch, each from the first sink that has it, and says what came of each. Every answer is kept as a note. */
export async function proveBackups(
  session: EngineSession,
  { places, chosen, notes }: ProofWork,
  options: VerifyOptions,
): Promise<readonly VerifiedBackup[]> {
  const servers = new ProofServers(session);
  const results: VerifiedBackup[] = [];
  const report = (result: VerifiedBackup): void => {
    results.push(result);
    options.observe?.({ type: 'checked', ...result });
  };
  try {
    const units = [...Map.groupBy(chosen, ({ unitKey }) => unitKey).values()];
    const sampled =
      options.sample === undefined ? units : await sample(session, servers, units, notes, options.sample);
    await eachLimited(sampled.flat(), session.pipeline.limits.jobs, async (place) => {
      report(await proveIn(session, servers, place, { places, notes }, options));
    });
  } finally {
    await servers.endAll();
  }
  return results;
}

/** The units that nobody has tried for longest, so that over time all are. One that cannot be tried in this way takes no other's place. */
async function sample(
  session: EngineSession,
  servers: ProofServers,
  units: readonly (readonly Place[])[],
  notes: Notes,
  count: number,
): Promise<readonly (readonly Place[])[]> {
  const chosen: (readonly Place[])[] = [];
  for (const unit of units.toSorted(longestUntriedFirst(notes))) {
    if (chosen.length === count) break;
    if (await canBeTried(session, servers, unit[0]!, notes)) chosen.push(unit);
  }
  return chosen;
}

async function canBeTried(
  session: EngineSession,
  servers: ProofServers,
  place: Place,
  { destroyed }: Notes,
): Promise<boolean> {
  if (destroyed.has(`${place.unitKey}/${place.backup}`)) return false;
  const sink = place.sinks[0] as PipelineSink;
  let manifest: Manifest;
  try {
    manifest = await readManifestIn(session, sink, place);
  } catch {
    throwIfAborted(session.signal);
    // That it cannot be read is what has to be told.
    return true;
  }
  const { view } = openSubject(session, sink, manifest);
  return (await servers.shared(view)).unfit(view) === undefined;
}

/** The unit that nobody has tried for longest comes first, so that over time all are; then by name. */
function longestUntriedFirst({ tried }: Notes): (a: readonly Place[], b: readonly Place[]) => number {
  const key = ([place]: readonly Place[]): string => `${tried.get(place!.unitKey) ?? ''} ${place!.unitKey}`;
  return (a, b) => (key(a) < key(b) ? -1 : 1);
}

async function proveIn(
  outer: EngineSession,
  servers: ProofServers,
  place: Place,
  about: Pick<ProofWork, 'places' | 'notes'>,
  options: VerifyOptions,
): Promise<VerifiedBackup> {
  const { pipeline, signal } = outer;
  const sink = place.sinks[0] as PipelineSink;
  const began = pipeline.clock.now().getTime();
  const result = (unit: string, bytes: number): Omit<VerifiedBackup, 'status'> => ({
    unit,
    backup: place.backup,
    sink: sink.name,
    bytes,
    seconds: (pipeline.clock.now().getTime() - began) / 1000,
  });
  let manifest: Manifest;
  try {
    manifest = await readManifestIn(outer, sink, place);
  } catch (thrown) {
    throwIfAborted(signal);
    return { ...result(place.unitKey, 0), status: 'failed', error: toPgsiloError(thrown).toJSON() };
  }
  const unit = manifest.unit.name;
  const bytes = manifest.artifacts.reduce((total, artifact) => total + artifact.storedBytes, 0);
  options.observe?.({ type: 'checking', unit, backup: place.backup, sink: sink.name });
  if (about.notes.destroyed.has(`${place.unitKey}/${place.backup}`))
    return { ...result(unit, bytes), status: 'skipped', summary: 'its keys were destroyed' };
  // A session for each: its archive is on the disk no longer than it is needed.
  return withSession(pipeline, signal, async (session) => {
    const subject = openSubject(session, sink, manifest);
    const shared = await servers.shared(subject.view);
    const unfit = shared.unfit(subject.view);
    if (unfit !== undefined) return { ...result(unit, bytes), status: 'skipped', summary: unfit };
    const proof = await prove(session, servers, subject, about.places);
    await noteProof(session, subject, proof);
    const { status, summary, checks, error, restoreSeconds } = proof;
    return {
      ...result(unit, bytes),
      status,
      ...(restoreSeconds === undefined ? {} : { restoreSeconds }),
      checks,
      ...(summary === '' ? {} : { summary }),
      ...(error ? { error } : {}),
    };
  });
}

async function prove(
  session: EngineSession,
  servers: ProofServers,
  subject: Subject,
  places: readonly Place[],
): Promise<Proof> {
  const { view, manifest } = subject;
  if (manifest.status === 'damaged')
    return failedProof(
      session,
      new PgsiloError('source.archive-invalid', 'the server reported damage while this backup was made'),
    );
  const shared = await servers.shared(view);
  const alone = shared.takesServer(view);
  const server = alone ? await servers.alone(view) : shared;
  try {
    const globals = await globalsBeside(session, places, subject);
    const jobs = Math.min(mostJobs, session.pipeline.limits.jobs);
    const copy = await restoreCopy(session, server, subject, globals, { jobs });
    return await examineCopy(session, server, subject, copy);
  } catch (thrown) {
    return failedProof(session, thrown);
  } finally {
    if (alone) await servers.end(server);
    else await removeCopy(session, server, subject);
  }
}
