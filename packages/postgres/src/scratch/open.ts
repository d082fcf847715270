import { createReadStream } from 'node:fs';
import { realpath } from 'node:fs/promises';
import {
  PgsiloError, type BackupView, type Context, type Examination, type ProofCheck, type ScratchRequest, type ScratchServer,
} from '@pgsilo/plugin'; // prettier-ignore
import { majorVersion, readToc } from '../archive/index.ts';
import { artifactOf } from '../artifacts.ts';
import { parseConnection, type ServerSettings } from '../connection.ts';
import type { DatabaseSettings } from '../database-settings.ts';
import type { GlobalStatement } from '../globals/file.ts';
import { rolesNeeded } from '../restore/roles.ts';
import { dropWorking } from '../restore/working-database.ts';
import { openSession, type Session } from '../session.ts';
import type { SourceSetup } from '../source-setup.ts';
import { runChecks } from './checks.ts';
import { compareCopy } from './compare-copy.ts';
import { JointCopy } from './joint-copy.ts';
import { commentOfRole, copyNameOf, dropRoles, openCleanup, sweepCopies } from './named-server.ts';
import { startOwnServer } from './own-server.ts';
import type { RunningServer } from './run-server.ts';
import { makeBareRoles, makeRolesAsTheyWere, makeTablespaces, mustBeOurs } from './surroundings.ts';

/** What a source says of its units, so that they can be proved. */
export interface ProofKind {
  readonly unfit?: (backup: BackupView) => string | undefined;
  readonly takesServer: (backup: BackupView) => boolean;
  readonly isRegistry?: (backup: BackupView) => boolean;
  /** Roles and tablespaces that stand in a backup. */
  readonly globalsOf: (backup: BackupView, context: Context) => Promise<readonly GlobalStatement[]>;
  /** The artifact that pg_dump wrote; undefined: there is none in its custom format. */
  readonly archiveOf: (backup: BackupView) => string | undefined;
  /** Artifacts beside that one which name roles too. */
  readonly othersOf?: (backup: BackupView) => readonly string[];
  /** What a database has besides, for the roles in it. */
  readonly settingsOf?: (backup: BackupView) => Promise<DatabaseSettings | undefined>;
  /** The schema that the unit is; undefined: it is a whole database. */
  readonly schemaOf?: (backup: BackupView) => string | undefined;
}

/** Starts a server for copies, or opens the one that is named. See `Source.scratch`. */
export async function openScratchServer(
  setup: SourceSetup,
  request: ScratchRequest,
  context: Context,
  kind: ProofKind,
): Promise<ScratchServer> {
  if (request.connection !== undefined)
    return new Scratch(setup, kind, request.connection, undefined, context).opened(context.signal);
  if (setup.programs.exec)
    throw new PgsiloError(
      'config.invalid',
      `the client programs run elsewhere (exec: ${setup.programs.exec[0]}), where a server that is started here to restore into cannot be reached`,
      {
        hint: 'Name a server for copies that they can reach: scratch: { connection: "${env:SCRATCH_URL}" }.',
      },
    );
  const major = majorVersion(request.serverVersion);
  if (major === undefined)
    throw new PgsiloError(
      'source.archive-invalid',
      `${JSON.stringify(request.serverVersion)} is no version of PostgreSQL`,
    );
  const options = {
    major,
    root: await realFolder(request.folder),
    user: request.user,
    bin: setup.programs.bin,
  };
  const own = await startOwnServer(options, context);
  try {
    return await new Scratch(setup, kind, own.connection, own, context).opened(context.signal);
  } catch (error) {
    await own.stop();
    throw error;
  }
}

/** The folder itself where it is there: the server tells its own folder without links. */
async function realFolder(folder: string): Promise<string> {
  return realpath(folder).catch(() => folder);
}

class Scratch implements ScratchServer {
  readonly connection: string;
  readonly #setup: SourceSetup;
  readonly #kind: ProofKind;
  readonly #own: RunningServer | undefined;
  readonly #server: ServerSettings;
  readonly #log: Context['log'];
  readonly #names = new Map<string, string>();
  #joint: JointCopy | undefined;
  readonly #madeRoles: string[] = [];
  /** Globals whose roles were made, by backup. */
  readonly #madeGlobals = new Set<string>();
  /** What makes roles does so one after another: two units need the same ones. */
  #queue: Promise<unknown> = Promise.resolve();
  #version = '';

  constructor(
    setup: SourceSetup,
    kind: ProofKind,
    connection: string,
    own: RunningServer | undefined,
    { log }: Context,
  ) {
    this.#setup = setup;
    this.#kind = kind;
    this.connection = connection;
    this.#own = own;
    this.#server = parseConnection(connection);
    this.#log = log;
  }

  async opened(signal: AbortSignal): Promise<this> {
    await this.#admin(signal, async (session) => {
      this.#version = session.serverVersion;
      if (this.#own) await mustBeOurs(session, this.#own.dataFolder);
      else await sweepCopies(session, { log: this.#log });
    });
    return this;
  }

  get about(): string {
    return this.#own
      ? `a throwaway server of PostgreSQL ${this.#version}`
      : `the server of scratch.connection (PostgreSQL ${this.#version})`;
  }

  unfit(backup: BackupView): string | undefined {
    if (!this.#own && this.#kind.takesServer(backup))
      return 'it takes a server for itself, and scratch.connection names one that others use: leave scratch.connection out to prove it';
    return this.#kind.unfit?.(backup);
  }

  takesServer(backup: BackupView): boolean {
    return this.#kind.takesServer(backup);
  }

  isRegistry(backup: BackupView): boolean {
    return this.#kind.isRegistry?.(backup) ?? false;
  }

  copyName(backup: BackupView): string | undefined {
    if (this.#kind.takesServer(backup)) return undefined;
    const key = `${backup.unit.name}\0${backup.id}`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = copyNameOf(this.#names.size + 1);
    this.#names.set(key, name);
    return name;
  }

  jointName(): string {
    if (!this.#joint) {
      this.#joint = new JointCopy(this.#setup, this.#server, copyNameOf(this.#names.size + 1));
      this.#names.set('', this.#joint.name);
    }
    return this.#joint.name;
  }

  prepare(backup: BackupView, globals: BackupView | undefined, context: Context): Promise<void> {
    const work = this.#queue.then(() => this.#prepare(backup, globals, context));
    this.#queue = work.catch(() => undefined);
    return work;
  }

  async #prepare(backup: BackupView, globals: BackupView | undefined, context: Context): Promise<void> {
    const own = this.#own;
    this.#joint?.add(this.#kind.schemaOf?.(backup));
    await this.#admin(context.signal, async (session) => {
      const source = this.#kind.takesServer(backup) ? backup : globals;
      if (own && source && !this.#madeGlobals.has(source.id)) {
        const statements = await this.#kind.globalsOf(source, context);
        await makeTablespaces(session, statements, (name) => own.makeFolder(name));
        if (source !== backup) await makeRolesAsTheyWere(session, statements);
        this.#madeGlobals.add(source.id);
      }
      if (this.#kind.takesServer(backup)) return;
      const made = await makeBareRoles(
        session,
        await this.#rolesOf(backup),
        own ? undefined : commentOfRole(),
      );
      if (!own) this.#madeRoles.push(...made);
    });
  }

  async #rolesOf(backup: BackupView): Promise<ReadonlySet<string>> {
    const archive = this.#kind.archiveOf(backup);
    if (archive === undefined) return new Set();
    const settings = await this.#kind.settingsOf?.(backup);
    const roles = new Set<string>();
    for (const name of [archive, ...(this.#kind.othersOf?.(backup) ?? [])]) {
      const file = await artifactOf(backup, name).spool();
      const toc = await readToc(createReadStream(file), ({ hasData }) => !hasData);
      for (const role of rolesNeeded(toc.entries, settings)) roles.add(role);
    }
    return roles;
  }

  async examine(
    target: string,
    backup: BackupView,
    checks: readonly ProofCheck[],
    context: Context,
  ): Promise<Examination> {
    const archive = this.#kind.archiveOf(backup);
    const schema = this.#kind.schemaOf?.(backup);
    const compared =
      archive === undefined
        ? { compared: [], differences: [] }
        : target === this.#joint?.name
          ? await this.#joint.compare(schema, artifactOf(backup, archive), context)
          : await compareCopy(
              this.#setup,
              { server: this.#server, database: target, schema },
              artifactOf(backup, archive),
              context,
            );
    const database = this.#kind.takesServer(backup) ? undefined : target;
    const outcomes = await runChecks({ server: this.#server, database, searchPath: schema }, checks, context);
    return { ...compared, checks: outcomes };
  }

  async remove(backup: BackupView, context: Context): Promise<void> {
    const name = this.copyName(backup);
    if (name !== undefined) await this.#admin(context.signal, (session) => dropWorking(session, name));
  }

  async close(): Promise<void> {
    if (this.#own) return this.#own.stop();
    if (this.#names.size === 0 && this.#madeRoles.length === 0) return;
    const session = await openCleanup(this.#server);
    try {
      for (const name of this.#names.values()) await dropWorking(session, name);
      await dropRoles(session, this.#madeRoles, { log: this.#log });
    } finally {
      await session.close();
    }
  }

  async #admin<Result>(
    signal: AbortSignal | undefined,
    work: (session: Session) => Promise<Result>,
  ): Promise<Result> {
    const session = await openSession(this.#server, {
      applicationName: 'pgsilo scratch',
      purpose: 'prove a backup',
      ...(signal ? { signal } : {}),
    });
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  }
}
