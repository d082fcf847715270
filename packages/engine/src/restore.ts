import { isPgsiloError, PgsiloError, toPgsiloError } from '@pgsilo/plugin';
import type { Restoration, RestoreRequest } from '@pgsilo/plugin';
import { openBackup } from './backup-view.ts';
import { sinksNamed } from './catalog.ts';
import { findBackup } from './find-backup.ts';
import type { FoundBackup } from './find-backup.ts';
import { newestRunAnywhere } from './history.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { openSession } from './session.ts';
import type { EngineSession } from './session.ts';

export interface RestoreOptions {
  readonly unit: string;
  readonly backup?: string;
  readonly before?: Date;
  /** That very moment; refused where only write-ahead log could give it. */
  readonly at?: Date;
  /** Read from this sink; undefined: the first that has it. */
  readonly sink?: string;
  readonly to?: string;
  /** Connection string; secret. */
  readonly toServer?: string;
  readonly replace: boolean;
  readonly dropOld: boolean;
  readonly jobs: number;
  readonly tables?: readonly string[];
  /** Of a unit that holds a whole server: this database of it alone. */
  readonly database?: string;
  /** Of such a unit: its roles alone. */
  readonly rolesOnly?: boolean;
  readonly owner: boolean;
  readonly signal: AbortSignal;
  readonly observe?: (event: RestoreEvent) => void;
}

export type RestoreEvent =
  | { readonly type: 'step'; readonly name: string }
  | { readonly type: 'step-done'; readonly name: string; readonly seconds: number };

/** A restore that was found possible and not yet begun. */
export interface PreparedRestore {
  readonly entry: FoundBackup;
  /** Name of the sink it is read from. */
  readonly sink: string;
  /** What will be done, for people. */
  readonly plan: readonly string[];
  /** Name to be typed by the person, when something live is replaced. */
  readonly replaces?: string;
  run(): Promise<RestoreReport>;
  /** Frees everything, whether or not `run` was called. */
  close(): Promise<void>;
}

export interface RestoreReport {
  readonly unit: string;
  readonly backup: string;
  readonly sink: string;
  readonly target: string;
  readonly compared: string;
  readonly kept?: string;
  readonly steps: readonly { readonly name: string; readonly seconds: number }[];
  readonly seconds: number;
  readonly warnings: readonly string[];
  readonly next: readonly string[];
}

/** Finds the backup, fetches and proves what is needed to judge, and asks the source whether and how it can be restored. Nothing but scratch is written. */
export async function prepareRestore(pipeline: Pipeline, options: RestoreOptions): Promise<PreparedRestore> {
  refuseParts(pipeline, options);
  if (options.at) await refuseMoment(pipeline, options.unit, options.at, options.signal);
  const find = {
    ...(options.backup === undefined ? {} : { backup: options.backup }),
    ...(options.before === undefined ? {} : { before: options.before }),
    ...(options.sink === undefined ? {} : { sink: options.sink }),
  };
  const entry = await findBackup(pipeline, options.unit, {
    ...find,
    passOver: true,
    signal: options.signal,
  });
  const sink = sinksNamed(pipeline, entry.sinks[0])[0] as PipelineSink;
  const session = openSession(pipeline, options.signal);
  const steps: { name: string; seconds: number }[] = [];
  const step = async <Result>(name: string, work: () => Promise<Result>): Promise<Result> => {
    options.observe?.({ type: 'step', name });
    const began = pipeline.clock.now().getTime();
    const result = await work();
    const seconds = (pipeline.clock.now().getTime() - began) / 1000;
    steps.push({ name, seconds });
    options.observe?.({ type: 'step-done', name, seconds });
    return result;
  };
  const request: RestoreRequest = {
    backup: openBackup(session, sink, entry.manifest, entry.sinks.slice(1)).view,
    ...(options.to === undefined ? {} : { to: options.to }),
    ...(options.toServer === undefined ? {} : { toServer: options.toServer }),
    ...(options.tables === undefined ? {} : { tables: options.tables }),
    ...(options.database === undefined ? {} : { database: options.database }),
    ...(options.rolesOnly ? { rolesOnly: true } : {}),
    replace: options.replace,
    dropOld: options.dropOld,
    jobs: options.jobs,
    owner: options.owner,
    step,
  };
  let restoration: Restoration;
  try {
    restoration = await pipeline.source.source.restore(request, session.context());
  } catch (error) {
    await session.scratch.remove();
    throw error;
  }
  const vanished = await vanishedBackup(session, options, entry);
  return {
    entry,
    sink: sink.name,
    plan: [...vanished, ...restoration.plan],
    ...(restoration.replaces === undefined ? {} : { replaces: restoration.replaces }),
    async run() {
      const outcome = await restoration.run();
      const seconds = steps.reduce((total, done) => total + done.seconds, 0);
      return { unit: entry.unit, backup: entry.backup, sink: sink.name, ...outcome, steps, seconds };
    },
    async close() {
      try {
        await restoration.close();
      } finally {
        await session.scratch.remove();
      }
    },
  };
}

/** A source that does not know of a part would restore all of the unit. */
function refuseParts({ source }: Pipeline, { database, rolesOnly, unit }: RestoreOptions): void {
  const wanted = [
    { part: 'database', option: '--database', asked: database !== undefined },
    { part: 'roles', option: '--roles-only', asked: rolesOnly === true },
  ] as const;
  for (const { part, option, asked } of wanted) {
    if (!asked || source.traits.parts?.includes(part)) continue;
    throw new PgsiloError(
      'restore.refused',
      `${option} takes a part out of a unit that holds a whole server, and ${JSON.stringify(unit)} of ${source.use} is none`,
      { hint: `Leave ${option} out.` },
    );
  }
}

const unknownNewer = 'whether there was a newer backup is not known';

/** A sentence when the newest run stored a newer backup than the one found: its manifest is gone, and the person expects that one. */
async function vanishedBackup(
  session: EngineSession,
  options: RestoreOptions,
  entry: FoundBackup,
): Promise<readonly string[]> {
  if (options.backup !== undefined || options.before !== undefined) return [];
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

/** A logical backup holds the moments at which it was made and none between them: says so, with the nearest. */
async function refuseMoment(pipeline: Pipeline, unit: string, at: Date, signal: AbortSignal): Promise<void> {
  if (pipeline.source.traits.pointInTime) return;
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
