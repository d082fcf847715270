import { isPgsiloError, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Comparison, RecoveryUnit, Source } from '@pgsilo/plugin';
import { openBackup } from './backup-view.ts';
import { sinksNamed } from './catalog.ts';
import type { FoundBackup } from './find-backup.ts';
import type { Pipeline } from './pipeline.ts';
import { prepareRestore } from './restore.ts';
import type { KnownRestore } from './restore.ts';
import type { RestoreAllOptions } from './restore-all.ts';
import type { Failure } from './run-records.ts';
import { withSession } from './session.ts';

/** What became of one unit in a restore of everything. */
export interface RestoredUnit {
  readonly unit: string;
  /** `present`: it was there already, equal to the backup. `missing`: it has no backup. `not-begun`: interrupted before its turn. */
  readonly status: 'restored' | 'present' | 'missing' | 'failed' | 'not-begun';
  readonly backup?: string;
  /** The moment whose state it holds. */
  readonly snapshotAt?: string;
  /** Name of the sink it was read from. */
  readonly sink?: string;
  readonly target?: string;
  /** What was compared with the fingerprint. */
  readonly compared?: string;
  readonly seconds: number;
  readonly warnings: readonly string[];
  readonly error?: Failure;
}

/**
 * Restores a unit beside whatever is there, or proves that it is there already. Never throws: what went wrong stands in the result.
 * @param found its backup, or why there is none
 * @param restore default: the source's own
 */
export async function restoreOne(
  pipeline: Pipeline,
  unit: RecoveryUnit,
  found: FoundBackup | PgsiloError,
  options: RestoreAllOptions,
  restore?: Source['restore'],
): Promise<RestoredUnit> {
  const began = pipeline.clock.now().getTime();
  const about = isPgsiloError(found)
    ? {}
    : { backup: found.backup, snapshotAt: found.manifest.snapshotAt, sink: found.sinks[0]! };
  const line = (more: Pick<RestoredUnit, 'status'> & Partial<RestoredUnit>): RestoredUnit => ({
    unit: unit.unit,
    ...about,
    seconds: (pipeline.clock.now().getTime() - began) / 1000,
    warnings: [],
    ...more,
  });
  if (isPgsiloError(found))
    return line({ status: found.code === 'catalog.not-found' ? 'missing' : 'failed', error: found.toJSON() });
  try {
    const known: KnownRestore = { entry: found, ...(restore ? { restore } : {}) };
    return line(await restoreFrom(pipeline, unit, known, options));
  } catch (thrown) {
    return line({ status: 'failed', error: toPgsiloError(thrown).toJSON() });
  }
}

type Restored = Pick<RestoredUnit, 'status' | 'target' | 'compared' | 'warnings'>;

async function restoreFrom(
  pipeline: Pipeline,
  { unit, to }: RecoveryUnit,
  known: KnownRestore,
  options: RestoreAllOptions,
): Promise<Restored> {
  const { sink, toServer, jobs, owner, signal } = options;
  let prepared;
  try {
    prepared = await prepareRestore(
      pipeline,
      {
        unit,
        ...(sink === undefined ? {} : { sink }),
        ...(to === undefined ? {} : { to }),
        toServer,
        replace: false,
        dropOld: false,
        safetyBackup: false,
        jobs,
        owner,
        signal,
      },
      known,
    );
  } catch (error) {
    if (!isPgsiloError(error) || error.code !== 'restore.target-exists' || to === undefined) throw error;
    return provePresent(pipeline, known.entry, to, error, options);
  }
  try {
    const { target, compared, warnings } = await prepared.run();
    return { status: 'restored', target, compared, warnings };
  } finally {
    await prepared.close();
  }
}

/** It is there: made by an earlier call, which gives a database its name only when it is whole, or by somebody else. */
async function provePresent(
  pipeline: Pipeline,
  entry: FoundBackup,
  name: string,
  exists: PgsiloError,
  { toServer, signal }: RestoreAllOptions,
): Promise<Restored> {
  const { compared, differences } = await compare(pipeline, entry, name, exists, { toServer, signal });
  if (differences.length === 0) return { status: 'present', target: name, compared, warnings: [] };
  const shown = differences.slice(0, 10).map((each) => `- ${each}`);
  throw new PgsiloError(
    'restore.target-exists',
    `${exists.message}, and is not what backup ${entry.backup} holds; it was left as it is:\n${shown.join('\n')}${differences.length > 10 ? `\n- and ${differences.length - 10} more` : ''}`,
    {
      cause: exists,
      hint: 'Somebody uses it already, or it is not of this backup: look at it. To have it restored by the next call drop it first.',
    },
  );
}

async function compare(
  pipeline: Pipeline,
  entry: FoundBackup,
  name: string,
  exists: PgsiloError,
  { toServer, signal }: Pick<RestoreAllOptions, 'toServer' | 'signal'>,
): Promise<Comparison> {
  const { source } = pipeline.source;
  const [sink] = sinksNamed(pipeline, entry.sinks[0]);
  if (!source.compare || !sink) throw exists;
  try {
    return await withSession(pipeline, signal, (session) => {
      const { view } = openBackup(session, sink, entry.manifest, entry.sinks.slice(1));
      return source.compare!({ server: toServer, name }, view, session.context());
    });
  } catch (thrown) {
    const known = toPgsiloError(thrown);
    if (known.code !== 'restore.refused') throw known;
    throw new PgsiloError(
      'restore.target-exists',
      `${exists.message}, and ${known.message}; it was left as it is`,
      {
        cause: known,
        hint: 'A restore gives a database its name only when it is whole. To have it restored again drop it first.',
      },
    );
  }
}
