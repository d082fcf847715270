import { isPgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import type {
  BackupView,
  Context,
  FinishedUnit,
  JoinedRecovery,
  PgsiloError,
  RestoreRequest,
} from '@pgsilo/plugin';
import { openBackup } from './backup-view.ts';
import { sinksNamed } from './catalog.ts';
import { findBackup } from './find-backup.ts';
import type { FoundBackup } from './find-backup.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import type { RestoreAllOptions } from './restore-all.ts';
import { withSession } from './session.ts';

export interface FoundView {
  readonly entry: FoundBackup;
  readonly view: BackupView;
}

/** Shows backups to a source that reads nothing but their facts. */
export function withViews<Result>(
  pipeline: Pipeline,
  found: Iterable<FoundBackup | PgsiloError>,
  signal: AbortSignal,
  work: (views: readonly FoundView[], context: Context) => Promise<Result> | Result,
): Promise<Result> {
  return withSession(pipeline, signal, async (session) => {
    const views: FoundView[] = [];
    for (const entry of found) {
      if (isPgsiloError(entry)) continue;
      const [sink] = sinksNamed(pipeline, entry.sinks[0]) as [PipelineSink];
      views.push({ entry, view: openBackup(session, sink, entry.manifest).view });
    }
    return work(views, session.context());
  });
}

/** The units that have a backup, by name, in the order in which they are to be restored. */
export function stagesOf(
  pipeline: Pipeline,
  joined: JoinedRecovery,
  found: ReadonlyMap<string, FoundBackup | PgsiloError>,
  signal: AbortSignal,
): Promise<readonly (readonly string[])[]> {
  return withViews(pipeline, found.values(), signal, (views) =>
    joined.stages(views.map(({ view }) => view)).map((stage) => stage.map(({ unit }) => unit.name)),
  );
}

export interface Finishing {
  readonly joined: JoinedRecovery;
  readonly database: string;
  /** Only these are looked at; undefined: all. */
  readonly only: ReadonlySet<string> | undefined;
  readonly last: boolean;
}

/**
 * What one unit lacks may wait for what another lacks: goes over them until nothing more can be made, then a last time.
 * @param pass says how much is lacking
 */
export async function finishInPasses(pass: (last: boolean) => Promise<number>): Promise<void> {
  let before = Infinity;
  for (let lacking = await pass(false); lacking > 0 && lacking < before; lacking = await pass(false))
    before = lacking;
  await pass(true);
}

/** A unit that lacked something, and what came of making it. */
export interface Finished extends FinishedUnit {
  readonly unit: string;
  readonly backup: string;
}

/** Makes what units lack, one unit after another. What goes wrong with one is what it lacks. */
export async function finishUnits(
  pipeline: Pipeline,
  finishing: Finishing,
  options: RestoreAllOptions,
): Promise<readonly Finished[]> {
  const { joined, database, only } = finishing;
  const { signal, sink } = options;
  const unfinished = await withSession(pipeline, signal, (session) =>
    joined.unfinished(database, session.context()),
  );
  const finished: Finished[] = [];
  for (const { unit, backup } of unfinished) {
    if (only && !only.has(unit)) continue;
    try {
      // Exactly the one that it was made of: a newer one may have come since.
      const entry = await findBackup(pipeline, unit, {
        backup,
        ...(sink === undefined ? {} : { sink }),
        passOver: true,
        signal,
      });
      finished.push({
        unit,
        backup,
        ...(await finishOne(pipeline, entry, finishing, options)),
      });
    } catch (thrown) {
      throwIfAborted(signal);
      finished.push({ unit, backup, lacks: [toPgsiloError(thrown).message], warnings: [] });
    }
  }
  return finished;
}

function finishOne(
  pipeline: Pipeline,
  entry: FoundBackup,
  { joined, database, last }: Finishing,
  { toServer, owner, jobs, signal }: RestoreAllOptions,
): Promise<FinishedUnit> {
  return withSession(pipeline, signal, (session) => {
    const [sink] = sinksNamed(pipeline, entry.sinks[0]) as [PipelineSink];
    const { view } = openBackup(session, sink, entry.manifest, entry.sinks.slice(1));
    return joined.finish(requestFor(view, { toServer, to: database, owner, jobs }), last, session.context());
  });
}

/** A request for one of many units, which nobody watches step by step. */
export function requestFor(
  backup: BackupView,
  more: Pick<RestoreRequest, 'to' | 'toServer' | 'owner' | 'jobs'>,
): RestoreRequest {
  return {
    backup,
    ...more,
    replace: false,
    dropOld: false,
    step: (_name, work) => work(),
    swap: (_live, work) => work(),
  };
}
