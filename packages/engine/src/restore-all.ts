import { PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type { Recovery } from '@pgsilo/plugin';
import { listBackups } from './catalog.ts';
import { newestRunAnywhere } from './history.ts';
import { withHooks } from './hooks.ts';
import type { FailedHook } from './hooks.ts';
import type { Pipeline } from './pipeline.ts';
import { findBackups } from './find-backup.ts';
import { withViews } from './joined-units.ts';
import { RestoreCourse, whichOf } from './restore-course.ts';
import type { RestoredUnit } from './restore-one.ts';
import type { Failure } from './run-records.ts';
import { withSession } from './session.ts';

export interface RestoreAllOptions {
  /** Connection string of the server that is restored into; secret. */
  readonly toServer: string;
  /** Of each unit the newest backup not after this moment; undefined: the newest. */
  readonly before?: Date;
  /** Read from this sink alone. */
  readonly sink?: string;
  /** Parallel restore workers of each unit; several units are restored at once besides, by `limits.jobs`. */
  readonly jobs: number;
  readonly owner: boolean;
  readonly signal: AbortSignal;
  readonly observe?: (event: RestoreAllEvent) => void;
}

export type RestoreAllEvent =
  | { readonly type: 'unit-started'; readonly unit: string }
  | { readonly type: 'unit-done'; readonly unit: RestoredUnit }
  /** The registry was read: so many units follow. */
  | { readonly type: 'others'; readonly units: number; readonly atOnce: number };

export interface RestoreAllReport {
  readonly pipeline: string;
  /** `ok`: all of it is there and equal to its backups. `partial`: some. `failed`: nothing. */
  readonly status: 'ok' | 'partial' | 'failed' | 'aborted';
  readonly startedAt: string;
  readonly finishedAt: string;
  /** In the order in which they ended. */
  readonly units: readonly RestoredUnit[];
  readonly failedHooks: readonly FailedHook[];
  /** What stopped all of it: the registry could not be read, or Ctrl-C. */
  readonly error?: Failure;
}

type Outcome = Pick<RestoreAllReport, 'units' | 'error'>;

/**
 * Restores everything into another server: the roles, the registry, then all that the restored registry names. Nothing that exists there is replaced or changed: what is there and equal to its backup
 * is left, what differs is told of. So it can be called again after it was interrupted or killed, and goes on. What fails for one unit does not keep the others from their turn.
 */
export async function restoreAll(pipeline: Pipeline, options: RestoreAllOptions): Promise<RestoreAllReport> {
  const { signal } = options;
  const startedAt = pipeline.clock.now().toISOString();
  const recovery = await openRecovery(pipeline, options);
  const call = {
    around: 'restore',
    facts: {},
    signal,
    statusOf: ({ units, error }: Outcome) => statusOf(units, error),
  } as const;
  const { result, failedHooks } = await withHooks(pipeline, call, () => recover(pipeline, recovery, options));
  const status = statusOf(result.units, result.error);
  return {
    pipeline: pipeline.name,
    status: status === 'ok' && failedHooks.length > 0 ? 'partial' : status,
    startedAt,
    finishedAt: pipeline.clock.now().toISOString(),
    ...result,
    failedHooks,
  };
}

/** What comes first, for people; also what throws before anything is begun: a source that cannot, a sink that does not answer. */
export async function planRestoreAll(
  pipeline: Pipeline,
  options: RestoreAllOptions,
): Promise<RestoreAllPlan> {
  const { first, joined } = await openRecovery(pipeline, options);
  const { sink, signal } = options;
  // A sink that cannot be looked at would fail every unit, one after another.
  for await (const _ of listBackups(pipeline, { ...(sink === undefined ? {} : { sink }), signal })) break;
  const plan = {
    first: first.map(({ unit }) => unit),
    joined: joined !== undefined,
    atOnce: pipeline.limits.jobs,
  };
  if (!joined) return { ...plan, warnings: [] };
  const found = await findBackups(pipeline, await knownUnits(pipeline, options), whichOf(options));
  const warnings = await withViews(pipeline, found.values(), signal, (views, context) =>
    joined.foresee(
      views.map(({ view }) => view),
      context,
    ),
  );
  return { ...plan, warnings: options.owner ? warnings : [] };
}

export interface RestoreAllPlan {
  /** Units that come first. */
  readonly first: readonly string[];
  /** Whether all units make up one database. */
  readonly joined: boolean;
  readonly atOnce: number;
  /** What a person should know before it begins. */
  readonly warnings: readonly string[];
}

async function openRecovery(pipeline: Pipeline, { toServer, signal }: RestoreAllOptions): Promise<Recovery> {
  const { source, use } = pipeline.source;
  if (!source.recovery)
    throw new PgsiloError(
      'restore.refused',
      `the source ${use} cannot restore everything into another server at once`,
      {
        hint: 'Restore its units one by one: `pgsilo list FILE` names them, `pgsilo restore FILE UNIT --to-server …` restores one.',
      },
    );
  return withSession(pipeline, signal, async (session) => source.recovery!(toServer, session.context()));
}

async function recover(pipeline: Pipeline, recovery: Recovery, options: RestoreAllOptions): Promise<Outcome> {
  const { signal, observe } = options;
  // The hooks stand around all of it, once.
  const { hooks: _, ...plain } = pipeline;
  const course = new RestoreCourse(plain, recovery, options);
  try {
    await course.restore(recovery.first, 'first');
    throwIfAborted(signal);
    // The registry may be read through a view of several units.
    await course.finish('first');
    const others = await recovery
      .others(() => knownUnits(pipeline, options))
      .catch((thrown: unknown) => {
        throw aboutRegistry(toPgsiloError(thrown), course.units);
      });
    observe?.({ type: 'others', units: others.length, atOnce: course.atOnce(others.length) });
    await course.restore(others, 'others');
    throwIfAborted(signal);
    await course.finish('all');
    throwIfAborted(signal);
    return { units: course.units };
  } catch (thrown) {
    return { units: course.units, error: toPgsiloError(thrown).toJSON() };
  }
}

/** Which tenants there are is then not known, and that is because of what went wrong before. */
function aboutRegistry(error: PgsiloError, units: readonly RestoredUnit[]): PgsiloError {
  const first = units.find(({ status }) => status === 'failed' || status === 'missing');
  if (error.code === 'aborted' || !first) return error;
  return new PgsiloError(
    error.code,
    `which units there are is not known, because ${JSON.stringify(first.unit)} was not restored: ${error.message}`,
    {
      cause: error,
      hint: 'Restore that one by itself, from another backup or sink (--backup, --from) under its own name (--to), then run the same command again: it goes on from there.',
    },
  );
}

/** The units of the newest whole run; where no sink tells of one, all that have a backup. */
async function knownUnits(pipeline: Pipeline, options: RestoreAllOptions): Promise<readonly string[]> {
  const { signal, before, sink } = options;
  const { report } = await withSession(pipeline, signal, (session) => newestRunAnywhere(session, before));
  if (report) return report.units.map(({ unit }) => unit).sort();
  const names = new Set<string>();
  const where = sink === undefined ? {} : { sink };
  for await (const { unit, manifest } of listBackups(pipeline, { ...where, signal }))
    if (manifest) names.add(unit);
  return [...names].sort();
}

function statusOf(units: readonly RestoredUnit[], error: Failure | undefined): RestoreAllReport['status'] {
  if (error?.code === 'aborted') return 'aborted';
  const there = units.filter(({ status }) => status === 'restored' || status === 'present');
  if (!error && there.length === units.length && units.length > 0) return 'ok';
  return there.length > 0 ? 'partial' : 'failed';
}

/** Exit status of it. */
export function exitOfAll({ status }: RestoreAllReport): 0 | 1 | 3 | 130 {
  return ({ ok: 0, partial: 1, failed: 3, aborted: 130 } as const)[status];
}
