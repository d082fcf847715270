import { PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Job, Unit, UnitFacts } from '@pgsilo/plugin';
import { interruptible } from './interrupt.ts';
import { backupPrefix, manifestKey } from './keys.ts';
import { LateAnswers } from './late-answers.ts';
import { currentFormat, writeManifest } from './manifest.ts';
import type { ManifestArtifact } from './manifest.ts';
import { putDocument } from './objects.ts';
import { ofFailedSinks, removeLeftovers } from './attempt-leftovers.ts';
import type { PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { latePuts, type RunState } from './run-state.ts';
import { storeArtifact } from './store.ts';

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
  /** In the order of the source; undefined: a sink has not answered yet. */
  readonly artifacts: (ManifestArtifact | undefined)[];
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
  /** Called when the source has given all that it has, and the next job may begin. */
  readonly onRead: () => void;
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
      { unit, artifacts: [], sinks: state.sinksFor(unit.name), failed: new Map<PipelineSink, PgsiloError>() },
    ]),
  );
  const written = new Map<PipelineSink, string[]>(state.sinks.map((sink) => [sink, []]));
  if (state.sinks.length === 0) throw noSinkLeft(state);
  try {
    const late = new LateAnswers(state.puts);
    try {
      await readJob(state, request, units, written, late);
      request.onRead();
    } finally {
      await late.settle();
    }
    late.throwFirst();
    for (const unit of units.values()) checkComplete(unit);
    // No manifest will name it there, and a full disk needs the room.
    await removeLeftovers(state, ofFailedSinks(state, [...units.values()], written));
    const committed: CommittedUnit[] = [];
    await eachLimited(units.values(), latePuts, async (unit) => {
      committed.push(await commit(state, request, unit, startedAt));
    });
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
  late: LateAnswers,
): Promise<void> {
  const { session, run } = state;
  const names = new Set<string>();
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
    const name = `${item.unit}\n${item.name}`;
    if (names.has(name)) {
      throw new PgsiloError(
        'plugin.invalid',
        `the source yielded the artifact ${item.name} of ${JSON.stringify(item.unit)} twice`,
      );
    }
    names.add(name);
    if (unit.sinks.length === 0) throw firstFailure(state, unit);
    const place = unit.artifacts.push(undefined) - 1;
    const { result } = await storeArtifact(session, {
      artifact: item,
      backup: request.backup,
      run,
      sinks: unit.sinks,
      signal: request.signal,
      share: request.share / 2,
      onBytes: request.onBytes,
    });
    await late.add(
      result.then(({ artifact, stored, failed }) => {
        unit.artifacts[place] = artifact;
        for (const sink of stored)
          written
            .get(sink)
            ?.push(backupPrefix(session.pipeline.name, item.unit, request.backup) + artifact.key);
        for (const { sink, error } of failed) dropSink(state, unit, sink, error);
      }),
    );
    late.throwFirst();
  }
}

function checkComplete(unit: UnitState): void {
  const name = JSON.stringify(unit.unit.name);
  if (!unit.facts) throw new PgsiloError('plugin.invalid', `the source ended without the facts of ${name}`);
  if (unit.artifacts.length === 0)
    throw new PgsiloError('source.incomplete', `the source ended without an artifact of ${name}`);
  if (unit.artifacts.includes(undefined))
    throw new PgsiloError('internal', `an artifact of ${name} was not answered for by any sink`);
}

function artifactsOf({ artifacts }: UnitState): readonly ManifestArtifact[] {
  return artifacts.filter((artifact) => artifact !== undefined);
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
    ...(facts.parts === undefined ? {} : { parts: facts.parts }),
    about: facts.about ?? {},
    artifacts: artifactsOf(unit),
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
  if (unit.sinks.length === 0) throw firstFailure(state, unit);
  const sum = (read: (artifact: ManifestArtifact) => number): number =>
    artifactsOf(unit).reduce((total, artifact) => total + read(artifact), 0);
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

function firstFailure(state: RunState, unit: UnitState): PgsiloError {
  return [...unit.failed.values()][0] ?? noSinkLeft(state);
}

function noSinkLeft(state: RunState): PgsiloError {
  const [first] = state.session.pipeline.sinks;
  const cause = first ? state.droppedBecause(first) : undefined;
  return cause ?? new PgsiloError('sink.failed', 'no sink is left to write to');
}
