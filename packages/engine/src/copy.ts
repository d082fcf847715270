import { hostname } from 'node:os';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import { ownIdentity } from '@pgsilo/plugin/process-identity';
import { readTaken } from './acceptance.ts';
import { listPlaces, readManifestIn, sinksNamed } from './catalog.ts';
import type { Place } from './catalog.ts';
import { copyAll, describeAll } from './copy-backups.ts';
import type { CopyRoute } from './copy-object.ts';
import { encodeUnit, newRunId, runBeginKey, runSummaryKey, timeOfId } from './keys.ts';
import { putDocument } from './objects.ts';
import type { Manifest } from './manifest.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { writeRunBegin, writeRunReport } from './run-records.ts';
import type { Failure, RunUnit } from './run-records.ts';
import { eachLimited } from './pool.ts';
import { isSafetyBackup } from './safety-label.ts';
import { withSession } from './session.ts';
import type { EngineSession } from './session.ts';

export interface CopyOptions {
  /** Names of two sinks of the pipeline. */
  readonly from: string;
  readonly to: string;
  /** Only these; all when absent. */
  readonly units?: readonly string[];
  /** Only backups whose run began then or later. */
  readonly since?: Date;
  /** Only says what is lacking. */
  readonly dryRun?: boolean;
  readonly signal: AbortSignal;
  readonly observe?: (line: CopiedBackup) => void;
}

/** What became of one backup that the target lacked. */
export interface CopiedBackup {
  /** The unit's name; where its manifest could not be read, the key that stands for it. */
  readonly unit: string;
  readonly backup: string;
  readonly status: 'copied' | 'lacking' | 'failed';
  /** As stored, of all artifacts. */
  readonly bytes: number;
  /** Less than `bytes` when some were there from an earlier try. */
  readonly sentBytes: number;
  readonly error?: Failure;
}

export interface CopyReport {
  readonly from: string;
  readonly to: string;
  /** How many of the chosen backups the target had already. */
  readonly present: number;
  /** Oldest first. */
  readonly backups: readonly CopiedBackup[];
}

/**
 * Fills a sink with the backups that another one has, without the server. Hashes are proved on the way; a backup is there only when all of it is.
 * What fails stands in the report and is tried again by the next call.
 */
export async function copyBackups(pipeline: Pipeline, options: CopyOptions): Promise<CopyReport> {
  const [from] = sinksNamed(pipeline, options.from);
  const [to] = sinksNamed(pipeline, options.to);
  if (!from || !to || from === to)
    throw new PgsiloError('usage.invalid', 'a sink cannot be copied to itself', {
      hint: 'Name two sinks of the pipeline: --from, --to.',
    });
  return withSession(pipeline, options.signal, async (session) => {
    const chosen = await choose(session, from.name, options);
    const there = new Set((await listPlaces(session, [to])).map(placeName));
    const lackingThere = chosen.filter((place) => !there.has(placeName(place))).reverse();
    const places = await onlyDue(session, { from, to }, lackingThere);
    const report = { from: from.name, to: to.name, present: chosen.length - lackingThere.length };
    const lacking = await describeAll(session, from, places);
    if (options.dryRun || places.length === 0) return { ...report, backups: lacking };
    const width = Math.max(1, pipeline.limits.jobs);
    const route: CopyRoute = { from, to, share: 1 / (2 * width) };
    const backups = await underMarker(session, to, lacking, () =>
      copyAll(session, { route, places, lacking, there, width, observe: options.observe }),
    );
    return { ...report, backups };
  });
}

const placeName = ({ unitKey, backup }: Pick<Place, 'unitKey' | 'backup'>): string => `${unitKey}/${backup}`;

async function choose(
  session: EngineSession,
  from: string,
  { units, since }: CopyOptions,
): Promise<readonly Place[]> {
  const all = await listPlaces(session, sinksNamed(session.pipeline, from));
  const keys = units && new Map(units.map((unit) => [encodeUnit(unit), unit]));
  for (const [key, unit] of keys ?? []) {
    if (!all.some((place) => place.unitKey === key))
      throw new PgsiloError(
        'catalog.not-found',
        `sink ${from} has no backup of unit ${JSON.stringify(unit)}`,
        {
          hint: 'What it has: `pgsilo list FILE --sink NAME`.',
        },
      );
  }
  return all.filter(
    ({ unitKey, backup }) => (!keys || keys.has(unitKey)) && (!since || timeOfId(backup) >= since.getTime()),
  );
}

const unitsAtOnce = 16;

/** What a sink with `accept` wants of these, oldest first: the first good backup of each period. */
async function onlyDue(
  session: EngineSession,
  { from, to }: Pick<CopyRoute, 'from' | 'to'>,
  places: readonly Place[],
): Promise<readonly Place[]> {
  if (!to.accept) return places;
  const taken = await readTaken(session, to, to.accept, places);
  const due = new Set<Place>();
  // Those of one unit in turn: whether one is due depends on those before it.
  const byUnit = Map.groupBy(places, ({ unitKey }) => unitKey);
  await eachLimited(byUnit.values(), unitsAtOnce, async (ofUnit) => {
    for (const place of ofUnit) {
      if (!taken.isDue(place)) continue;
      const manifest = await readIfThere(session, from, place);
      if (manifest && isSafetyBackup(manifest)) continue;
      due.add(place);
      // One that cannot be read is among them, so that it is told of; it stands for no period.
      if (manifest?.status === 'good') taken.take(place);
    }
  });
  return places.filter((place) => due.has(place));
}

async function readIfThere(
  session: EngineSession,
  sink: PipelineSink,
  place: Place,
): Promise<Manifest | undefined> {
  try {
    return await readManifestIn(session, sink, place);
  } catch {
    throwIfAborted(session.signal);
    return undefined;
  }
}

/** While the marker is there, nothing of these units is taken for garbage in the target (retention/garbage.ts). */
async function underMarker(
  session: EngineSession,
  to: PipelineSink,
  lacking: readonly CopiedBackup[],
  work: () => Promise<readonly CopiedBackup[]>,
): Promise<readonly CopiedBackup[]> {
  const { name, clock } = session.pipeline;
  const startedAt = clock.now();
  const run = newRunId(startedAt);
  const about = { run, pipeline: name, startedAt: startedAt.toISOString() };
  const units = new Set(lacking.filter(({ status }) => status === 'lacking').map(({ unit }) => unit));
  const identity = { host: hostname(), pid: process.pid, identity: ownIdentity() };
  const marker = writeRunBegin({ ...about, process: identity, units: [...units] });
  await putDocument(session, to, runBeginKey(name, run), marker, 'run');
  const lines = await work();
  const failed = lines.filter(({ status }) => status === 'failed').length;
  const status = failed === 0 ? 'ok' : failed < lines.length ? 'partial' : 'failed';
  // `selected`: it says nothing of what a whole run of the pipeline should hold.
  const end = {
    ...about,
    finishedAt: clock.now().toISOString(),
    status,
    selected: true,
    retries: session.retries.count,
    units: lines.map((line) => unitLine(line, to.name)),
    warnings: [],
  } as const;
  await putDocument(session, to, runSummaryKey(name, run), writeRunReport(end), 'run');
  return lines;
}

function unitLine({ unit, backup, status, bytes, sentBytes, error }: CopiedBackup, sink: string): RunUnit {
  const good = status === 'copied';
  return {
    unit,
    ...(good ? { backup } : {}),
    status: good ? 'good' : 'failed',
    attempts: 1,
    bytes,
    storedBytes: sentBytes,
    seconds: 0,
    ...(error ? { error } : {}),
    sinks: good ? [{ sink, status: 'stored' }] : [],
  };
}
