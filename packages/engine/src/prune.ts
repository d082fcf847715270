import { hostname } from 'node:os';
import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { takeLockFile } from './lock-file.ts';
import { readNotes } from './note-store.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { mustHaveRetention, planUnits, survey } from './prune-plan.ts';
import type { PlannedBackup, Survey } from './prune-plan.ts';
import { PruneTally } from './prune-report.ts';
import type { PruneReport, PrunedBackup } from './prune-report.ts';
import { removeGarbage } from './retention/garbage.ts';
import { removeBackups } from './retention/remove.ts';
import type { Removed } from './retention/remove.ts';
import { withSession } from './session.ts';
import type { EngineSession } from './session.ts';
import { sweepDeadRuns } from './sweep.ts';
import { pruneWal } from './wal/wal-prune.ts';
import { WalNeeds } from './wal/wal-needs.ts';

export interface PruneOptions {
  /** Nothing is removed. */
  readonly dryRun?: boolean;
  readonly signal: AbortSignal;
  /** Told of every backup in sinks that have a retention, by unit, newest first. What it returns is awaited: a slow reader slows the work. */
  readonly observe?: (backup: PrunedBackup) => Promise<void> | void;
}

const unitsAtOnce = 8;

/**
 * Applies retention to every sink that has one, and sweeps garbage from all. Needs no server.
 * A backup that goes on meanwhile, here or on another machine, is safe without its lock: see docs/retention.md.
 * Throws `usage.invalid` when no sink has a retention, `run.locked` when this machine prunes the pipeline already, and what makes all sinks impossible to list.
 */
export async function prune(pipeline: Pipeline, options: PruneOptions): Promise<PruneReport> {
  return withSession(pipeline, options.signal, async (session) => {
    mustHaveRetention(session);
    if (options.dryRun) return pruneLocked(session, options);
    const lock = await takeLockFile(
      pipeline.scratch,
      `${pipeline.name}.prune`,
      `pid ${process.pid} on ${hostname()}`,
    );
    if (!lock.held)
      throw new PgsiloError(
        'run.locked',
        `pipeline ${pipeline.name} is being pruned already: ${lock.holder}`,
      );
    try {
      return await pruneLocked(session, options);
    } finally {
      await lock.release();
    }
  });
}

async function pruneLocked(session: EngineSession, options: PruneOptions): Promise<PruneReport> {
  const { pipeline } = session;
  const dryRun = options.dryRun ?? false;
  if (!dryRun) await Promise.all(pipeline.sinks.map((sink) => sweepDeadRuns(session, sink)));
  const surveyed = await survey(session);
  const tally = new PruneTally(dryRun, pipeline.sinks, surveyed.inventories.failed);
  const needs = new WalNeeds();
  let units: (readonly PlannedBackup[])[] = [];
  const flush = async (): Promise<void> => {
    const done = new Map<readonly PlannedBackup[], readonly PrunedBackup[]>();
    await eachLimited(units, unitsAtOnce, async (unit) => {
      done.set(unit, dryRun ? unit.map(asPlanned) : await pruneUnit(session, surveyed, unit, tally));
    });
    for (const unit of units) {
      for (const [index, backup] of done.get(unit)!.entries()) {
        tally.add(backup);
        needs.take(unit[index]!, backup.outcome);
        await options.observe?.(backup);
      }
    }
    units = [];
  };
  for await (const unit of planUnits(session, surveyed)) {
    throwIfAborted(session.signal);
    units.push(unit);
    if (units.length >= unitsAtOnce * 4) await flush();
  }
  await flush();
  for (const sink of surveyed.inventories.of.keys()) {
    throwIfAborted(session.signal);
    await sweepGarbage(session, surveyed, sink, tally);
    await expireWal(session, sink, needs, tally);
  }
  return tally.report();
}

async function sweepGarbage(
  session: EngineSession,
  { inventories }: Survey,
  sink: PipelineSink,
  tally: PruneTally,
): Promise<void> {
  if (tally.isBroken(sink)) return;
  try {
    tally.addGarbage(sink, await removeGarbage(session, sink, inventories, tally.dryRun));
  } catch (error) {
    throwIfAborted(session.signal);
    tally.sinkFailed(sink, toPgsiloError(error, 'sink.failed'));
  }
}

async function expireWal(
  session: EngineSession,
  sink: PipelineSink,
  needs: WalNeeds,
  tally: PruneTally,
): Promise<void> {
  if (tally.isBroken(sink) || !sink.retention || !session.pipeline.source.source.wal) return;
  try {
    tally.addWal(
      sink,
      await pruneWal(session, sink, needs.of(sink, session.pipeline.clock.now()), tally.dryRun),
    );
  } catch (error) {
    throwIfAborted(session.signal);
    tally.sinkFailed(sink, toPgsiloError(error, 'sink.failed'));
  }
}

async function pruneUnit(
  session: EngineSession,
  { inventories }: Survey,
  unit: readonly PlannedBackup[],
  tally: PruneTally,
): Promise<readonly PrunedBackup[]> {
  if (unit.every(({ keep }) => keep)) return unit.map(asPlanned);
  const spared = await pinnedMeanwhile(session, [...inventories.of.keys()], unit);
  const results = new Map<PlannedBackup, Removed>();
  for (const [sink, backups] of Map.groupBy(unit, ({ sink }) => sink)) {
    const removals = backups.filter((one) => !one.keep && !spared.has(one.backup));
    if (tally.isBroken(sink)) {
      const error = tally.isBroken(sink)!;
      for (const one of removals) results.set(one, { outcome: 'failed', error });
      continue;
    }
    const removed = await removeBackups(session, sink, removals);
    for (const one of removals) {
      const result = removed.get(one.backup)!;
      results.set(one, result);
      if (result.outcome === 'failed') tally.sinkFailed(sink, result.error);
    }
  }
  return unit.map((one) => {
    const result = results.get(one);
    return result ? afterRemoval(one, result) : spared.has(one.backup) ? asSpared(one) : asPlanned(one);
  });
}

/** Somebody may have pinned a backup since the plan was made; it is held, and so is what it requires. */
async function pinnedMeanwhile(
  session: EngineSession,
  sinks: readonly PipelineSink[],
  unit: readonly PlannedBackup[],
): Promise<ReadonlySet<string>> {
  const { held } = await readNotes(session, sinks, unit[0]!.unit);
  const spared = new Set<string>();
  const pending = unit.filter((one) => !one.keep && held.has(`${one.unitKey}/${one.backup}`));
  for (const one of pending) {
    spared.add(one.backup);
    pending.push(...unit.filter(({ backup }) => one.requires.includes(backup) && !spared.has(backup)));
  }
  return spared;
}

function asPlanned(planned: PlannedBackup): PrunedBackup {
  return { ...common(planned), outcome: planned.keep ? 'kept' : 'planned', reasons: planned.reasons };
}

function asSpared(planned: PlannedBackup): PrunedBackup {
  if (planned.keep) return asPlanned(planned);
  return { ...common(planned), outcome: 'kept', reasons: [{ rule: 'pinned' }] };
}

function afterRemoval(planned: PlannedBackup, result: Removed): PrunedBackup {
  const row = { ...common(planned), reasons: planned.reasons };
  switch (result.outcome) {
    case 'required':
      return { ...row, outcome: 'kept', reasons: [{ rule: 'required', by: result.by }] };
    case 'retained':
      return { ...row, outcome: 'retained', ...(result.until ? { until: result.until } : {}) };
    case 'failed':
      return { ...row, outcome: 'failed', error: result.error };
    case 'removed':
      return {
        ...row,
        outcome: 'removed',
        retainedObjects: result.retained.length,
        ...(result.error ? { error: result.error } : {}),
      };
  }
}

function common(planned: PlannedBackup): Omit<PrunedBackup, 'outcome' | 'reasons'> {
  const { unit, backup, sink, snapshotAt, status, bytes, error } = planned;
  return {
    unit,
    backup,
    sink: sink.name,
    status,
    bytes,
    ...(snapshotAt === undefined ? {} : { snapshotAt }),
    ...(error ? { error } : {}),
  };
}
