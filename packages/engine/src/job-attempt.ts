import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Job, Unit, UnitFacts } from '@pgsilo/plugin';
import { interruptible } from './interrupt.ts';
import { backupPrefix, manifestKey } from './keys.ts';
import { currentFormat, writeManifest } from './manifest.ts';
import type { ManifestArtifact } from './manifest.ts';
import { putDocument, removeObjects } from './objects.ts';
import type { PipelineSink } from './pipeline.ts';
import type { RunState } from './run-state.ts';
import { storeArtifact } from './store.ts';

/** Milliseconds that the removal of a failed attempt's objects may take; what is left is swept by a later run. */
const cleanUpTime = 60_000;

/** A unit that was committed in at least one sink. */
export interface CommittedUnit {
  readonly unit: Unit;
  readonly backup: string;
  readonly status: 'good' | 'damaged';
  readonly bytes: number;
  readonly storedBytes: number;
  readonly stored: readonly PipelineSink[];
  readonly failed: ReadonlyMap<PipelineSink, PgsiloError>;
}

interface UnitState {
  readonly unit: Unit;
  readonly artifacts: ManifestArtifact[];
  facts?: UnitFacts;
  /** Sinks that hold every artifact so far. */
  sinks: readonly PipelineSink[];
  readonly failed: Map<PipelineSink, PgsiloError>;
}

export interface AttemptRequest {
  readonly job: Job;
  readonly backup: string;
  readonly label: string;
  readonly signal: AbortSignal;
  /** Part of the memory budget. */
  readonly share: number;
  readonly onBytes: (count: number) => void;
}

/**
 * One attempt of a job: reads it from the source, stores its artifacts, and writes the manifests when all of it has ended well.
 * When it throws, what it had stored is removed, and no manifest of it exists.
 */
export async function attemptJob(
  state: RunState,
  request: AttemptRequest,
): Promise<readonly CommittedUnit[]> {
  const startedAt = state.session.pipeline.clock.now();
  const units = new Map<string, UnitState>(
    request.job.units.map((unit) => [
      unit.name,
      { unit, artifacts: [], sinks: state.sinks, failed: new Map<PipelineSink, PgsiloError>() },
    ]),
  );
  const written = new Map<PipelineSink, string[]>(state.sinks.map((sink) => [sink, []]));
  if (state.sinks.length === 0) throw noSinkLeft(state);
  try {
    await readJob(state, request, units, written);
    for (const unit of units.values()) checkComplete(unit);
    const committed: CommittedUnit[] = [];
    for (const unit of units.values()) committed.push(await commit(state, request, unit, startedAt));
    return committed;
  } catch (error) {
    await removeLeftovers(state, written);
    throw error;
  }
}

async function readJob(
  state: RunState,
  request: AttemptRequest,
  units: Map<string, UnitState>,
  written: Map<PipelineSink, string[]>,
): Promise<void> {
  const { session, run } = state;
  const { source } = session.pipeline.source;
  // Half of the job's memory is the source's own: a reader of archives, a splitter.
  const context = { ...session.context(request.share / 2, request.signal), label: request.label };
  for await (const item of interruptible(source.read(request.job, context), request.signal)) {
    const unit = units.get(item.unit);
    if (!unit)
      throw new PgsiloError(
        'plugin.invalid',
        `the source yielded the unit ${JSON.stringify(item.unit)}, which is not in job ${request.job.id}`,
      );
    if (item.type === 'facts') {
      if (unit.facts)
        throw new PgsiloError(
          'plugin.invalid',
          `the source yielded the facts of ${JSON.stringify(item.unit)} twice`,
        );
      unit.facts = item.facts;
      continue;
    }
    if (unit.artifacts.some(({ name }) => name === item.name)) {
      throw new PgsiloError(
        'plugin.invalid',
        `the source yielded the artifact ${item.name} of ${JSON.stringify(item.unit)} twice`,
      );
    }
    const result = await storeArtifact(session, {
      artifact: item,
      backup: request.backup,
      run,
      sinks: unit.sinks,
      signal: request.signal,
      share: request.share / 2,
      onBytes: request.onBytes,
    });
    unit.artifacts.push(result.artifact);
    for (const sink of result.stored)
      written
        .get(sink)
        ?.push(backupPrefix(session.pipeline.name, item.unit, request.backup) + result.artifact.key);
    for (const { sink, error } of result.failed) dropSink(state, unit, sink, error);
  }
}

function checkComplete(unit: UnitState): void {
  const name = JSON.stringify(unit.unit.name);
  if (!unit.facts) throw new PgsiloError('plugin.invalid', `the source ended without the facts of ${name}`);
  if (unit.artifacts.length === 0)
    throw new PgsiloError('source.incomplete', `the source ended without an artifact of ${name}`);
}

async function commit(
  state: RunState,
  request: AttemptRequest,
  unit: UnitState,
  startedAt: Date,
): Promise<CommittedUnit> {
  const { pipeline } = state.session;
  const facts = unit.facts as UnitFacts;
  const bytes = writeManifest({
    format: currentFormat,
    pipeline: pipeline.name,
    unit: {
      name: unit.unit.name,
      labels: { ...pipeline.labels, ...unit.unit.labels },
      origin: unit.unit.origin,
    },
    backup: request.backup,
    run: state.run,
    labels: state.labels,
    startedAt: startedAt.toISOString(),
    finishedAt: pipeline.clock.now().toISOString(),
    snapshotAt: facts.snapshotAt,
    pgsilo: pipeline.version,
    source: pipeline.source.use,
    server: facts.server,
    tool: facts.tool,
    status: facts.status,
    ...(facts.lsn === undefined ? {} : { lsn: facts.lsn }),
    requires: [...(facts.requires ?? [])],
    about: facts.about ?? {},
    artifacts: unit.artifacts,
  });
  const key = manifestKey(pipeline.name, unit.unit.name, request.backup);
  await Promise.all(
    unit.sinks.map(async (sink) => {
      try {
        await putDocument(state.session, sink, key, bytes, 'manifest', request.signal);
      } catch (error) {
        dropSink(state, unit, sink, toPgsiloError(error, 'sink.failed'));
      }
    }),
  );
  if (unit.sinks.length === 0) throw [...unit.failed.values()][0] ?? noSinkLeft(state);
  const sum = (read: (artifact: ManifestArtifact) => number): number =>
    unit.artifacts.reduce((total, artifact) => total + read(artifact), 0);
  return {
    unit: unit.unit,
    backup: request.backup,
    status: facts.status,
    bytes: sum((artifact) => artifact.bytes),
    storedBytes: sum((artifact) => artifact.storedBytes),
    stored: unit.sinks,
    failed: unit.failed,
  };
}

function dropSink(state: RunState, unit: UnitState, sink: PipelineSink, error: PgsiloError): void {
  unit.sinks = unit.sinks.filter((other) => other !== sink);
  unit.failed.set(sink, error);
  state.sinkFailed(sink, error, unit.unit.name);
}

function noSinkLeft(state: RunState): PgsiloError {
  const [first] = state.session.pipeline.sinks;
  const cause = first ? state.droppedBecause(first) : undefined;
  return cause ?? new PgsiloError('sink.failed', 'no sink is left to write to');
}

/** Removes what a failed attempt stored. Manifests first, in case one of several units had its manifest already. */
async function removeLeftovers(state: RunState, written: Map<PipelineSink, string[]>): Promise<void> {
  const { log } = state.session.pipeline;
  await Promise.all(
    [...written].map(async ([sink, keys]) => {
      try {
        const manifests = [
          ...new Set(keys.map((key) => `${key.slice(0, key.lastIndexOf('/'))}/manifest.json`)),
        ];
        await removeObjects(state.session, sink, manifests, AbortSignal.timeout(cleanUpTime));
        await removeObjects(state.session, sink, keys, AbortSignal.timeout(cleanUpTime));
      } catch (error) {
        log.warn('what a failed attempt had stored was not removed; a later run sweeps it', {
          sink: sink.name,
          error: String(error),
        });
      }
    }),
  );
}
