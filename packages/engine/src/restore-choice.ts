import { describePoint, isPgsiloError, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { LogArchive, RecoveryGoal } from '@pgsilo/plugin';
import { findBackup } from './find-backup.ts';
import type { FoundBackup } from './find-backup.ts';
import { newestRunAnywhere } from './history.ts';
import type { Pipeline } from './pipeline.ts';
import type { RestoreOptions } from './restore.ts';
import type { EngineSession } from './session.ts';

/** The backup to restore: the one that is named, or the newest that fits. Throws `catalog.not-found`, and `restore.refused` for a moment that no backup holds. */
export async function chooseBackup(
  pipeline: Pipeline,
  options: RestoreOptions,
  archive: LogArchive,
): Promise<FoundBackup> {
  const { unit, recovery, backup } = options;
  if (recovery) await refuseGoal(pipeline, unit, recovery, options.signal);
  // Log leads from a backup forwards only.
  const moment = recovery?.point.kind === 'time' && backup === undefined ? recovery.point.at : undefined;
  const before = options.before ?? (moment === undefined ? undefined : new Date(moment));
  const { wal } = pipeline.source.source;
  return findBackup(pipeline, unit, {
    ...(backup === undefined ? {} : { backup }),
    ...(before === undefined ? {} : { before }),
    ...(recovery && wal?.obstacle
      ? { obstacle: ({ snapshotAt, about }) => wal.obstacle!({ snapshotAt, about }, recovery, archive) }
      : {}),
    ...(options.sink === undefined ? {} : { sink: options.sink }),
    passOver: true,
    signal: options.signal,
  });
}

/** The unit that holds a whole server. */
const wholeServer = '@cluster';

/** The backup to restore, and which database of it, where one of a whole server is asked for: by `database`, or by its name in the place of a unit's, as people call their tenants. */
export async function chooseUnitOrPart(
  pipeline: Pipeline,
  options: RestoreOptions,
  archive: LogArchive,
): Promise<{ readonly entry: FoundBackup; readonly database?: string }> {
  const { unit, database } = options;
  if (database !== undefined) return { entry: await chooseBackup(pipeline, options, archive), database };
  if (unit.startsWith('@') || !pipeline.source.traits.parts?.includes('dump'))
    return { entry: await chooseBackup(pipeline, options, archive) };
  const entry = await chooseBackup(pipeline, { ...options, unit: wholeServer }, archive);
  const parts = (entry.manifest.parts ?? []).map(({ name }) => name);
  if (parts.includes(unit)) return { entry, database: unit };
  const some = parts.slice(0, 10).map((name) => JSON.stringify(name));
  throw new PgsiloError(
    'catalog.not-found',
    `backup ${entry.backup} of ${wholeServer} holds no database ${JSON.stringify(unit)}`,
    { hint: `It holds ${some.join(', ')}${parts.length > some.length ? ', …' : ''}.` },
  );
}

/** What a person should know who expects the newest backup and gets this one, a sentence each. */
export async function aboutChoice(
  session: EngineSession,
  options: RestoreOptions,
  entry: FoundBackup,
): Promise<readonly string[]> {
  return [
    ...passedOver(entry),
    ...aboutGoal(options, entry),
    ...(await vanishedBackup(session, options, entry)),
  ];
}

/** Where the log leads from, and why from no newer one. */
function aboutGoal(
  { recovery, backup, before }: RestoreOptions,
  { backup: taken, unfit, manifest }: FoundBackup,
): readonly string[] {
  if (!recovery) return [];
  const [newest, ...others] = unfit;
  const skipped =
    newest === undefined
      ? []
      : [
          `Pass over ${newest.backup}${others.length === 0 ? '' : `, and ${others.length} more`}: it ${newest.why}`,
        ];
  const { kind } = recovery.point;
  if (backup !== undefined || (kind !== 'xid' && kind !== 'restore-point')) return skipped;
  const which =
    before === undefined ? 'the newest backup' : `the newest backup not after ${before.toISOString()}`;
  return [
    ...skipped,
    `Begin at ${which}, ${taken}, of ${manifest.snapshotAt}: ${describePoint(recovery.point)} must lie behind that; where it does not, name an older one (--backup, --before)`,
  ];
}

/** They hold what somebody wanted to be rid of; restored by default, a second call would undo the first. */
function passedOver({ passedOver: ids }: FoundBackup): readonly string[] {
  if (ids[0] === undefined) return [];
  const what =
    ids.length === 1
      ? `${ids[0]}, which is newer and holds`
      : `${ids.length} newer backups, the newest of them ${ids[0]}, which hold`;
  return [`Pass over ${what} what an earlier restore replaced; to have that back: --backup ${ids[0]}`];
}

const unknownNewer = 'whether there was a newer backup is not known';

/** A sentence when the newest run stored a newer backup than the one found: its manifest is gone, and the person expects that one. */
async function vanishedBackup(
  session: EngineSession,
  options: RestoreOptions,
  entry: FoundBackup,
): Promise<readonly string[]> {
  if (options.backup !== undefined || options.before !== undefined || entry.unfit.length > 0) return [];
  if (options.recovery?.point.kind === 'time') return [];
  try {
    const { report, damaged } = await newestRunAnywhere(session);
    if (damaged[0]) session.pipeline.log.warn(unknownNewer, { error: damaged[0].error.message });
    const line = report?.units.find(({ unit }) => unit === entry.unit);
    if (line?.backup === undefined || line.backup <= entry.backup) return [];
    return [
      `CAREFUL: the newest run stored ${line.backup}, and no sink that was looked at lists it; this older one is restored instead`,
    ];
  } catch (error) {
    session.pipeline.log.warn(unknownNewer, { error: toPgsiloError(error).message });
    return [];
  }
}

/** A logical backup holds the moments at which it was made and none between them: says so, for a time with the nearest. */
async function refuseGoal(
  pipeline: Pipeline,
  unit: string,
  { point }: RecoveryGoal,
  signal: AbortSignal,
): Promise<void> {
  if (pipeline.source.traits.pointInTime) return;
  if (point.kind !== 'time')
    throw new PgsiloError(
      'restore.refused',
      `${pipeline.source.use} keeps no write-ahead log, so ${JSON.stringify(unit)} cannot be brought back to ${describePoint(point)}`,
      { hint: 'Restore one of its backups: --backup ID, or --before TIME.' },
    );
  const at = new Date(point.at);
  const before = await findBackup(pipeline, unit, { before: at, signal }).catch((error: unknown) => {
    if (isPgsiloError(error) && error.code === 'catalog.not-found') return undefined;
    throw error;
  });
  const nearest = before ?? (await findBackup(pipeline, unit, { signal }));
  const distance = new Date(nearest.manifest.snapshotAt).getTime() - at.getTime();
  const side = distance <= 0 ? 'before' : 'after';
  throw new PgsiloError(
    'restore.refused',
    `${pipeline.source.use} keeps no write-ahead log, so ${JSON.stringify(unit)} cannot be brought back to ${at.toISOString()}; the nearest backup holds ${nearest.manifest.snapshotAt}, ${sayDistance(Math.abs(distance))} ${side} it`,
    { hint: `Restore that one: --backup ${nearest.backup}.` },
  );
}

function sayDistance(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}
