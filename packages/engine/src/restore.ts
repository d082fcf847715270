import { PgsiloError } from '@pgsilo/plugin';
import type {
  Restoration,
  RestoreOutcome,
  RestoreRequest,
  RowConflict,
  RowSelection,
  RowsRestored,
  Source,
  StartedServer,
} from '@pgsilo/plugin';
import { openBackup } from './backup-view.ts';
import { sinksNamed } from './catalog.ts';
import { companionOf } from './companion.ts';
import type { FoundBackup } from './find-backup.ts';
import { withHooks } from './hooks.ts';
import type { FailedHook, HookFacts } from './hooks.ts';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { aboutChoice, chooseUnitOrPart } from './restore-choice.ts';
import { refuseElsewhere, takeSafetyBackup } from './safety-backup.ts';
import type { SafetyBackup } from './safety-backup.ts';
import { openSession } from './session.ts';
import type { EngineSession } from './session.ts';
import { openLogArchive, recoveryTarget, type RecoveryWish } from './wal/wal-archive.ts';

export interface RestoreOptions {
  readonly unit: string;
  readonly backup?: string;
  readonly before?: Date;
  /** A state that no backup holds; refused where there is no write-ahead log to give it. */
  readonly recovery?: RecoveryWish;
  /** Read from this sink; undefined: the first that has it. */
  readonly sink?: string;
  readonly to?: string;
  /** Start what is restored; asked only of sources that can. */
  readonly start?: boolean;
  /** New folders of tablespaces, by the old ones; asked only of sources that restore files. */
  readonly tablespaces?: Readonly<Record<string, string>>;
  /** Connection string; secret. */
  readonly toServer?: string;
  /** A database that exists; asked only of sources that restore schemas. */
  readonly into?: string;
  /** Another name for the schema; likewise. */
  readonly toSchema?: string;
  readonly replace: boolean;
  readonly dropOld: boolean;
  /** Back up what is replaced before the restore begins; where nothing is replaced nothing is. */
  readonly safetyBackup: boolean;
  readonly jobs: number;
  readonly tables?: readonly string[];
  /** Only these rows, into the live tables; asked only of sources that can. */
  readonly rows?: readonly RowSelection[];
  readonly onConflict?: RowConflict;
  /** Of a unit that holds a whole server: this database of it alone. */
  readonly database?: string;
  /** With `database`: the new file for it, in place of a server. */
  readonly dump?: string;
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
  readonly rows?: readonly RowsRestored[];
  readonly kept?: string;
  readonly server?: StartedServer;
  /** The backup of what was replaced, as it was before. */
  readonly safetyBackup?: SafetyBackup;
  /** Hooks after the restore or the swap that failed; the restore itself is done. */
  readonly failedHooks: readonly FailedHook[];
  readonly steps: readonly { readonly name: string; readonly seconds: number }[];
  readonly seconds: number;
  readonly warnings: readonly string[];
  readonly next: readonly string[];
}

/** What a restore of everything knows that a restore of one unit has to find out. */
export interface KnownRestore {
  readonly entry: FoundBackup;
  /** Default: the source's own. */
  readonly restore?: Source['restore'];
}

/**
 * Finds the backup, fetches and proves what is needed to judge, and asks the source whether and how it can be restored. Nothing but scratch is written.
 * @param known the backup, where it was found before
 */
export async function prepareRestore(
  pipeline: Pipeline,
  options: RestoreOptions,
  known?: KnownRestore,
): Promise<PreparedRestore> {
  refuseParts(pipeline, options);
  // Chosen before anything else: the safety backup will be newer.
  const archive = openLogArchive(pipeline, options.signal);
  const { entry, database } = known
    ? { entry: known.entry }
    : await chooseUnitOrPart(pipeline, options, archive);
  const sink = sinksNamed(pipeline, entry.sinks[0])[0] as PipelineSink;
  const session = openSession(pipeline, options.signal);
  const course = new Course(pipeline, options);
  const facts: HookFacts = { unit: entry.unit, backup: entry.backup };
  const request: RestoreRequest = {
    backup: openBackup(session, sink, entry.manifest, entry.sinks.slice(1)).view,
    ...(options.to === undefined ? {} : { to: options.to }),
    ...(options.recovery === undefined
      ? {}
      : { recovery: recoveryTarget(pipeline, options.recovery, archive, options.signal) }),
    ...(options.dump === undefined ? {} : { dump: options.dump }),
    scratch: {
      folder: pipeline.scratch,
      ...(pipeline.scratchServer?.user === undefined ? {} : { user: pipeline.scratchServer.user }),
    },
    ...(options.start ? { start: true } : {}),
    ...(options.tablespaces === undefined ? {} : { tablespaces: options.tablespaces }),
    ...(options.toServer === undefined ? {} : { toServer: options.toServer }),
    ...(options.into === undefined ? {} : { into: options.into }),
    ...(options.toSchema === undefined ? {} : { toSchema: options.toSchema }),
    ...(options.tables === undefined ? {} : { tables: options.tables }),
    ...(options.rows === undefined ? {} : { rows: options.rows }),
    ...(options.onConflict === undefined ? {} : { onConflict: options.onConflict }),
    ...(database === undefined ? {} : { database }),
    ...(options.rolesOnly ? { rolesOnly: true } : {}),
    replace: options.replace,
    dropOld: options.dropOld,
    jobs: options.jobs,
    owner: options.owner,
    companion: (unit) => companionOf(session, sink, entry.manifest, unit),
    step: (name, work) => course.step(name, work),
    swap: (live, work) => course.hooked('swap', { ...facts, target: live, replaces: live }, work),
  };
  let restoration: Restoration | undefined;
  try {
    const { source } = pipeline.source;
    restoration = await (known?.restore?.(request, session.context()) ??
      source.restore(request, session.context()));
    const { replaces } = restoration;
    const safe = options.safetyBackup && replaces !== undefined;
    if (safe && options.toServer !== undefined) throw refuseElsewhere(entry.unit, replaces);
    const about = await aboutChoice(session, options, entry);
    return prepared(restoration, { pipeline, options, entry, sink, session, course, facts, about, safe });
  } catch (error) {
    await restoration?.close();
    await session.scratch.remove();
    throw error;
  }
}

interface Preparation {
  readonly pipeline: Pipeline;
  readonly options: RestoreOptions;
  readonly entry: FoundBackup;
  readonly sink: PipelineSink;
  readonly session: EngineSession;
  readonly course: Course;
  readonly facts: HookFacts;
  readonly about: readonly string[];
  /** Whether there is a safety backup to be made. */
  readonly safe: boolean;
}

function prepared(restoration: Restoration, given: Preparation): PreparedRestore {
  const { pipeline, options, entry, sink, session, course, about, safe } = given;
  const { replaces } = restoration;
  const { signal, dropOld } = options;
  const target = replaces ?? options.to;
  const facts: HookFacts = {
    ...given.facts,
    ...(target === undefined ? {} : { target }),
    ...(replaces === undefined ? {} : { replaces }),
  };
  const saving = `Back up ${JSON.stringify(entry.unit)} as it is now, through this pipeline, before anything else (--no-safety-backup leaves this out)`;
  return {
    entry,
    sink: sink.name,
    plan: [...about, ...(safe ? [saving] : []), ...restoration.plan],
    ...(replaces === undefined ? {} : { replaces }),
    async run() {
      let safetyBackup: SafetyBackup | undefined;
      const work = async (): Promise<RestoreOutcome> => {
        if (safe)
          safetyBackup = await course.step('back up what will be replaced', () =>
            takeSafetyBackup(pipeline, { manifest: entry.manifest, dropOld, signal }),
          );
        return restoration.run();
      };
      const outcome = await course.hooked('restore', facts, work, ({ target }) => ({ target }));
      const { failedHooks, steps, seconds } = course;
      return {
        unit: entry.unit, backup: entry.backup, sink: sink.name, ...outcome, ...aboutSafety(outcome, safetyBackup), failedHooks, steps, seconds,
      }; // prettier-ignore
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

function aboutSafety(
  { warnings, next }: RestoreOutcome,
  safetyBackup: SafetyBackup | undefined,
): Pick<RestoreReport, 'warnings' | 'next' | 'safetyBackup'> {
  if (!safetyBackup) return { warnings, next };
  const { backup, missingFrom } = safetyBackup;
  const lacking = `the backup of what was replaced, ${backup}, is not in ${missingFrom.map((sink) => `sink ${sink}`).join(', ')}`;
  return {
    safetyBackup,
    warnings: missingFrom.length === 0 ? warnings : [...warnings, lacking],
    next: [...next, `To have back what was replaced: pgsilo restore … --backup ${backup}`],
  };
}

/** What happens on the way: steps with their times, hooks that failed. */
class Course {
  readonly steps: { readonly name: string; readonly seconds: number }[] = [];
  readonly failedHooks: FailedHook[] = [];
  readonly #pipeline: Pipeline;
  readonly #options: RestoreOptions;

  constructor(pipeline: Pipeline, options: RestoreOptions) {
    this.#pipeline = pipeline;
    this.#options = options;
  }

  get seconds(): number {
    return this.steps.reduce((total, done) => total + done.seconds, 0);
  }

  async step<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const { clock } = this.#pipeline;
    const { observe } = this.#options;
    observe?.({ type: 'step', name });
    const began = clock.now().getTime();
    const result = await work();
    const seconds = (clock.now().getTime() - began) / 1000;
    this.steps.push({ name, seconds });
    observe?.({ type: 'step-done', name, seconds });
    return result;
  }

  async hooked<Result>(
    around: 'restore' | 'swap',
    facts: HookFacts,
    work: () => Promise<Result>,
    factsOf?: (result: Result) => HookFacts,
  ): Promise<Result> {
    const call = { around, facts, signal: this.#options.signal, ...(factsOf ? { factsOf } : {}) };
    const { result, failedHooks } = await withHooks(this.#pipeline, call, work);
    this.failedHooks.push(...failedHooks);
    return result;
  }
}

/** A source that does not know of a part would restore all of the unit, or put it somewhere else. */
function refuseParts({ source }: Pipeline, options: RestoreOptions): void {
  const { database, dump, rolesOnly, into, toSchema, rows, tablespaces, start, unit } = options;
  const server = 'takes a part out of a unit that holds a whole server';
  const schema = 'says where a unit that is a schema goes';
  const wanted = [
    { part: 'database', option: '--database', asked: database !== undefined, does: server },
    {
      part: 'dump',
      option: '--dump',
      asked: dump !== undefined,
      does: 'writes a database out of a unit of files into a file',
    },
    { part: 'roles', option: '--roles-only', asked: rolesOnly === true, does: server },
    { part: 'schema', option: '--into', asked: into !== undefined, does: schema },
    { part: 'schema', option: '--to-schema', asked: toSchema !== undefined, does: schema },
    { part: 'start', option: '--start', asked: start === true, does: 'starts a server on a unit of files' },
    {
      part: 'folder',
      option: '--tablespace',
      asked: tablespaces !== undefined,
      does: "says where files of a server's tablespaces go",
    },
  ] as const;
  if (rows !== undefined && !source.traits.parts?.includes('rows'))
    throw new PgsiloError('restore.refused', `${source.use} cannot put rows into live tables`, {
      hint: 'Restore the table into a new database (--table), and copy the rows from there.',
    });
  for (const { part, option, asked, does } of wanted) {
    if (!asked || source.traits.parts?.includes(part)) continue;
    throw new PgsiloError(
      'restore.refused',
      `${option} ${does}, and ${JSON.stringify(unit)} of ${source.use} is none`,
      { hint: `Leave ${option} out.` },
    );
  }
}
