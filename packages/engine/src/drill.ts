import { PgsiloError } from '@pgsilo/plugin';
import type { ScratchServer } from '@pgsilo/plugin';
import { sinksNamed } from './catalog.ts';
import { restoreTogether } from './drill-joined.ts';
import { findDrillUnits } from './drill-units.ts';
import type { DrillUnit, DrillUnits } from './drill-units.ts';
import type { Objectives, Pipeline } from './pipeline.ts';
import { eachLimited } from './pool.ts';
import { ProofServers } from './proof-servers.ts';
import { examineCopy, failedProof, globalsBeside, noteProof, openSubject, restoreCopy } from './prove.ts';
import type { Proof, RestoredCopy, Subject } from './prove.ts';
import { openSession, withSession } from './session.ts';
import type { EngineSession } from './session.ts';
import type { VerifiedBackup, VerifyEvent } from './verify.ts';

export interface DrillOptions {
  /** Restore from this sink; undefined: each backup from the first that has it. */
  readonly sink?: string;
  readonly signal: AbortSignal;
  readonly observe?: (event: VerifyEvent) => void;
}

/** What became of one unit. */
export interface DrilledUnit extends Omit<VerifiedBackup, 'backup' | 'sink' | 'seconds'> {
  /** Absent where there was none to restore. */
  readonly backup?: string;
  readonly sink?: string;
  readonly snapshotAt?: string;
  /** Bytes before transforms. */
  readonly rawBytes: number;
}

/** An objective and how it was kept; times in seconds. */
export interface KeptObjective {
  readonly target: number;
  /** Absent where it is not known, because a unit has no good backup. */
  readonly actual?: number;
  /** Of `rpo`: the unit whose newest good backup is the oldest. */
  readonly unit?: string;
  readonly met: boolean;
}

export interface DrillReport {
  readonly pipeline: string;
  /** The newest whole run. */
  readonly run: string;
  /** `failed`: a unit did not come back as it was, or an objective was missed. */
  readonly status: 'ok' | 'failed';
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Where it was restored. */
  readonly server: string;
  /** From the first byte that was fetched until the last unit was there and compared; starting the server and asking the checks not counted. */
  readonly recoverySeconds: number;
  readonly units: readonly DrilledUnit[];
  readonly objectives: { readonly rto?: KeptObjective; readonly rpo?: KeptObjective };
  readonly warnings: readonly string[];
}

/** Workers of a restore that has the server for itself. */
const mostJobs = 4;

/** One unit on its way through a drill. */
export interface Restoring {
  readonly unit: DrillUnit;
  readonly subject: Subject;
  readonly session: EngineSession;
  copy?: RestoredCopy;
  proof?: Proof;
  skipped?: string;
}

/**
 * Restores everything of the newest whole run into scratch, in the order of a recovery: roles, the registry, then all tenants, `limits.jobs` at once, the largest first.
 * Only then, so that the time is a recovery's, are the copies looked at. Throws when there is nothing to restore or no server to restore into.
 */
export async function drill(pipeline: Pipeline, options: DrillOptions): Promise<DrillReport> {
  return withSession(pipeline, options.signal, async (session) => {
    const found = await findDrillUnits(session, sinksNamed(pipeline, options.sink));
    const startedAt = pipeline.clock.now();
    const all = found.units.flatMap((unit): Restoring[] => {
      if (!unit.chosen) return [];
      const own = openSession(pipeline, options.signal);
      return [{ unit, session: own, subject: openSubject(own, unit.chosen.sink, unit.chosen.manifest) }];
    });
    if (all.length === 0)
      throw new PgsiloError('catalog.not-found', 'no unit of the newest run has a backup to restore');
    const servers = new ProofServers(session);
    try {
      const server = await servers.shared(all[0]!.subject.view);
      const { source } = pipeline.source;
      const joined = source.recovery?.(server.connection, session.context()).joined;
      const recoverySeconds = joined
        ? await restoreTogether(session, server, joined, all, found, options)
        : await restoreAll(session, servers, all, found, options);
      await eachLimited(all, pipeline.limits.jobs, (one) => examine(servers, one, options));
      return report(pipeline, { found, all, server, startedAt, recoverySeconds });
    } finally {
      await servers.endAll();
      await Promise.all(all.map((one) => one.session.scratch.remove()));
    }
  });
}

/** @returns seconds. */
async function restoreAll(
  session: EngineSession,
  servers: ProofServers,
  all: readonly Restoring[],
  { places }: DrillUnits,
  { observe }: DrillOptions,
): Promise<number> {
  const { clock, limits } = session.pipeline;
  const stages: Restoring[][] = [[], [], []];
  for (const one of all) {
    const server = await servers.shared(one.subject.view);
    const unfit = server.unfit(one.subject.view);
    if (unfit !== undefined) one.skipped = unfit;
    else stages[stageOf(server, one.subject)]!.push(one);
  }
  const began = clock.now().getTime();
  for (const stage of stages) {
    const largestFirst = stage.toSorted((a, b) => rawBytes(b.subject) - rawBytes(a.subject));
    const jobs = stage.length >= limits.jobs ? 1 : Math.min(mostJobs, limits.jobs);
    await eachLimited(largestFirst, limits.jobs, async (one) => {
      const { manifest, sink, view } = one.subject;
      observe?.({ type: 'checking', unit: manifest.unit.name, backup: manifest.backup, sink: sink.name });
      try {
        const globals = await globalsBeside(one.session, places, one.subject);
        one.copy = await restoreCopy(one.session, await servers.shared(view), one.subject, globals, { jobs });
      } catch (thrown) {
        one.proof = failedProof(one.session, thrown);
      }
    });
  }
  return (clock.now().getTime() - began) / 1000;
}

/** Roles and whole servers, then what tells which tenants there are, then the tenants. */
function stageOf(server: ScratchServer, { view }: Subject): 0 | 1 | 2 {
  if (server.takesServer(view)) return 0;
  return server.isRegistry(view) ? 1 : 2;
}

async function examine(servers: ProofServers, one: Restoring, { observe }: DrillOptions): Promise<void> {
  const { session, subject, copy } = one;
  if (copy) one.proof = await examineCopy(session, await servers.shared(subject.view), subject, copy);
  if (one.proof) await noteProof(session, subject, one.proof);
  await session.scratch.remove();
  const { manifest, sink } = subject;
  const { snapshotAt: _, rawBytes: __, ...drilled } = drilledUnit(one.unit, one);
  observe?.({
    type: 'checked',
    ...drilled,
    backup: manifest.backup,
    sink: sink.name,
    seconds: one.proof?.restoreSeconds ?? 0,
  });
}

function drilledUnit({ unit, chosen, error: missing }: DrillUnit, one: Restoring | undefined): DrilledUnit {
  if (!chosen || !one)
    return { unit, status: 'failed', bytes: 0, rawBytes: 0, ...(missing ? { error: missing } : {}) };
  const { manifest, sink } = chosen;
  const about = {
    unit,
    backup: manifest.backup,
    sink: sink.name,
    snapshotAt: manifest.snapshotAt,
    bytes: manifest.artifacts.reduce((total, { storedBytes }) => total + storedBytes, 0),
    rawBytes: rawBytes(one.subject),
  };
  const { proof, skipped } = one;
  if (!proof) return { ...about, status: 'skipped', ...(skipped === undefined ? {} : { summary: skipped }) };
  const { status, summary, restoreSeconds, checks, error } = proof;
  return {
    ...about,
    status,
    ...(restoreSeconds === undefined ? {} : { restoreSeconds }),
    checks,
    ...(summary === '' ? {} : { summary }),
    ...(error ? { error } : {}),
  };
}

function rawBytes({ manifest }: Subject): number {
  return manifest.artifacts.reduce((total, { bytes }) => total + bytes, 0);
}

interface Drilled {
  readonly found: DrillUnits;
  readonly all: readonly Restoring[];
  readonly server: ScratchServer;
  readonly startedAt: Date;
  readonly recoverySeconds: number;
}

function report(
  pipeline: Pipeline,
  { found, all, server, startedAt, recoverySeconds }: Drilled,
): DrillReport {
  const byUnit = new Map(all.map((one) => [one.unit, one]));
  const units = found.units.map((unit) => drilledUnit(unit, byUnit.get(unit)));
  const complete = units.every(({ status }) => status !== 'failed');
  const objectives = judge(pipeline.objectives ?? {}, {
    complete,
    recoverySeconds,
    startedAt,
    units: found.units,
  });
  const met = [objectives.rto, objectives.rpo].every((one) => one?.met !== false);
  return {
    pipeline: pipeline.name,
    run: found.run,
    status: complete && met ? 'ok' : 'failed',
    startedAt: startedAt.toISOString(),
    finishedAt: pipeline.clock.now().toISOString(),
    server: server.about,
    recoverySeconds,
    units,
    objectives,
    warnings: found.warnings,
  };
}

interface Measured {
  /** Whether every unit came back. */
  readonly complete: boolean;
  readonly recoverySeconds: number;
  readonly startedAt: Date;
  readonly units: readonly DrillUnit[];
}

/** Compares what was measured with the objectives. A recovery that is not complete keeps none for its time; a unit without a good backup none for its age. */
export function judge({ rto, rpo }: Objectives, measured: Measured): DrillReport['objectives'] {
  const { complete, recoverySeconds, startedAt, units } = measured;
  const ages = units.map(({ unit, newestGood }) => ({
    unit,
    age: newestGood ? (startedAt.getTime() - newestGood.getTime()) / 1000 : Infinity,
  }));
  const oldest = ages.reduce((worst, one) => (one.age > worst.age ? one : worst), {
    unit: '',
    age: -Infinity,
  });
  return {
    ...(rto === undefined
      ? {}
      : {
          rto: {
            target: rto / 1000,
            actual: recoverySeconds,
            met: complete && recoverySeconds * 1000 <= rto,
          },
        }),
    ...(rpo === undefined
      ? {}
      : {
          rpo: {
            target: rpo / 1000,
            ...(Number.isFinite(oldest.age) ? { actual: oldest.age } : {}),
            unit: oldest.unit,
            met: oldest.age * 1000 <= rpo,
          },
        }),
  };
}
