import type { Body, CheckResult, Context, Json, JsonObject } from './context.ts';
import type { PgsiloError } from './errors.ts';
import type { ScratchRequest, ScratchServer } from './proof.ts';
import type { Recovery } from './recovery.ts';
import type { Restoration, RestoreRequest } from './restore.ts';
import type { WalArchiver, WalFiles } from './wal.ts';

/**
 * Where tenants live, and how they are read and put back. A source knows one tenancy model; it knows nothing of sinks, transforms, retention or time-outs.
 * All errors are `PgsiloError`s.
 */
export interface Source {
  /**
   * The units that there are now, grouped into jobs. Reads only.
   * Throws when the server cannot be reached or the list cannot be trusted: an empty plan is never the result of a mistake.
   */
  plan(history: History, context: Context): Promise<Plan>;

  /**
   * Backs up the units of one job. `job.units` may be a selection of what `plan` returned.
   *
   * Yields artifacts one after another and, for each unit once, its facts. The engine reads a body to its end before it asks for the next item.
   * **The end means success**: a body ends only after its producer has exited with status 0, and the iterator only after everything is proved. Everything else throws, and the engine then writes no manifest of the job.
   * When the engine stops early (abort, time-out, no sink left) it calls `return()` on body and iterator: children and server sessions of the job are ended before that settles.
   */
  read(job: Job, context: ReadContext): AsyncIterable<SourceItem>;

  /**
   * Looks at a backup and a target and says what a restore would do. Writes nothing but scratch. Throws when it cannot be done: target taken, roles or privileges missing, names that match nothing.
   * The restore itself happens in `Restoration.run`.
   */
  restore(request: RestoreRequest, context: Context): Promise<Restoration>;

  /** Versions of tools and server, privileges, settings, headroom. */
  check(context: Context): AsyncIterable<CheckResult>;

  /** Ends children and server sessions. Called once, after the last call, also after errors. */
  close(): Promise<void>;

  /**
   * Reads a backup's artifacts to their ends and compares what they hold with each other; the stored bytes' sizes and hashes are checked by the engine, underneath.
   * Throws `source.archive-invalid`. Without this method the engine checks hashes alone.
   */
  inspect?(backup: BackupView, context: Context): Promise<Inspection>;

  /** Compares a database that is there with the fingerprint of a backup. */
  compare?(target: CompareTarget, backup: BackupView, context: Context): Promise<Comparison>;

  /**
   * A server to prove backups in. Throws before anything is made when there can be none, and says what to do.
   * What a killed process left of an earlier one is removed first. Without this method nothing is proved by restoring.
   */
  scratch?(request: ScratchRequest, context: Context): Promise<ScratchServer>;

  /**
   * How everything is restored into another server. Opens nothing. Without this method the engine refuses to, and units are restored one by one.
   * @param server connection string; secret.
   */
  recovery?(server: string, context: Context): Recovery;

  /** What the source knows of write-ahead log, whose files the engine keeps in the sinks. Without it `pgsilo wal` is refused. */
  readonly wal?: WalFiles;

  /** Looks at how the server archives that log. Without it, `pgsilo wal status` tells only what lies in the sinks. */
  readonly archiver?: WalArchiver;

  /** Takes the lock of this name, or says who holds it. Without this method the engine uses a lock file on this machine. */
  lock?(name: string, holder: string, context: Context): Promise<LockAttempt>;
}

/** What is backed up and restored as one. */
export interface Unit {
  /** Chosen by tenants or operators: hostile input. Begins with `@` only where it is no tenant's; never with `_`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** How the source finds it: `{ "database": "acme_db" }`. Stands in the manifest; nothing secret. */
  readonly origin: JsonObject;
}

/** The smallest thing that is run, retried or handed to a worker: one pass over the server for one or more units. */
export interface Job {
  /** Unique within the plan and stable from run to run. */
  readonly id: string;
  readonly units: readonly Unit[];
  /** How much there is to read, in bytes, as far as it is known; larger jobs start first. */
  readonly estimatedBytes?: number;
  /** What the source must know when it reads the job, whichever of its units were chosen: the engine hands it back as it is. Nothing secret. */
  readonly details?: JsonObject;
}

export interface Plan {
  readonly jobs: readonly Job[];
  /** Units that should be there and are not; each is a failed unit of the run. */
  readonly missing: readonly MissingUnit[];
  /** What a person should know: databases that no rule covers, units that share no snapshot. */
  readonly warnings: readonly string[];
  /** How it will be done and why, and what shares a moment, where the source had a choice. `pgsilo plan` shows it in place of what it says of the source's `consistency`. */
  readonly notes?: readonly string[];
}

export interface MissingUnit {
  readonly unit: Unit;
  readonly error: PgsiloError;
}

/** What earlier runs left; read-only. */
export interface History {
  /** The unit's size at its last good backup, in bytes before transforms. */
  lastBytes(unit: string): number | undefined;
}

export interface ReadContext extends Context {
  /** Unique to this attempt of the job, at most 40 bytes of `A-Z a-z 0-9 - . _`; a person finds the job's server sessions by it. */
  readonly label: string;
}

export type SourceItem = SourceArtifact | SourceFacts;

export interface SourceArtifact {
  readonly type: 'artifact';
  readonly unit: string;
  /** File name within the backup: `database.dump`. Of `a-z 0-9 . -`, unique within the unit. */
  readonly name: string;
  readonly format: ArtifactFormat;
  readonly body: Body;
  readonly estimatedBytes?: number;
}

/** `pg-custom`: read by pg_restore. `sql`: read by psql. `json`: read by pgsilo. `tar`: a base backup's files. */
export type ArtifactFormat = 'pg-custom' | 'sql' | 'json' | 'tar';

export interface SourceFacts {
  readonly type: 'facts';
  readonly unit: string;
  readonly facts: UnitFacts;
}

/** What the manifest says about a unit besides its artifacts. Nothing secret and no row data. */
export interface UnitFacts {
  /** `damaged`: kept and shouted about, never counted as good. */
  readonly status: 'good' | 'damaged';
  /** The moment whose state the backup holds (ISO 8601, UTC): the server's clock when the snapshot was taken. */
  readonly snapshotAt: string;
  /** `server_version`, and the system identifier where the role may read it. */
  readonly server: { readonly version: string; readonly systemIdentifier?: string };
  /** The program that wrote the archive: `pg_dump 15.18`. */
  readonly tool: string;
  /** Write-ahead log position of the snapshot, where it is known. */
  readonly lsn?: string;
  /** Backups that this one cannot be restored without. */
  readonly requires?: readonly string[];
  /** What the unit holds that can be told apart: the databases in a cluster's files. */
  readonly parts?: readonly Part[];
  /** What is of interest to a person: counts of tables and rows. */
  readonly about?: Readonly<Record<string, Json>>;
}

/** A database (or schema) within a unit that holds several. */
export interface Part {
  readonly name: string;
  /** Its OID, by which files and catalogs know it; a part that was made anew under the same name has another. */
  readonly oid: number;
  /** Names of the artifacts that hold nothing but its own bytes. */
  readonly artifacts: readonly string[];
}

/** A backup as the engine shows it to a source. */
export interface BackupView {
  readonly unit: Unit;
  readonly id: string;
  readonly facts: UnitFacts;
  readonly artifacts: readonly ArtifactView[];
}

export interface ArtifactView {
  readonly name: string;
  readonly format: ArtifactFormat;
  /** Size before transforms. */
  readonly bytes: number;
  /** The original bytes. Ends only when size and SHA-256 were right; throws `sink.corrupt` or `transform.corrupt` otherwise, so what was read before must not be relied upon until the end came. */
  open(): Body;
  /** Writes the original bytes into a file under scratch and returns its path once they were proved whole. The same file at a second call. */
  spool(): Promise<string>;
}

export interface Inspection {
  /** For people: `14 tables, 2,310,442 rows`. */
  readonly summary: string;
}

export interface CompareTarget {
  /** Connection string of another server; undefined: the pipeline's own. Secret. */
  readonly server?: string;
  readonly name: string;
}

/** Differences as sentences: `table public.orders: 120 rows, the backup has 121`. Empty: equal. */
export interface Comparison {
  readonly compared: string;
  readonly differences: readonly string[];
}

export type LockAttempt = HeldLock | LockedBy;

export interface HeldLock {
  readonly held: true;
  /** Aborted, with `run.lock-lost` as its reason, when the lock is gone although it was not released. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

export interface LockedBy {
  readonly held: false;
  /** Who holds it, as that holder described itself. */
  readonly holder: string;
  readonly since: Date | undefined;
}

export interface SourceTraits {
  /** What shares one snapshot: a unit alone, all units of a job, or the whole cluster. */
  readonly consistency: 'unit' | 'job' | 'cluster';
  /** Whether a moment between backups (`--at`, `--lsn` and their like) can be had, which takes write-ahead log. */
  readonly pointInTime: boolean;
  /** What can be restored out of a unit that holds more; default: nothing but tables. */
  readonly parts?: readonly RestorePart[];
}

/**
 * A database out of a whole server (`--database`), its roles alone (`--roles-only`), a schema into a database that has others (`--into`, `--to-schema`), or rows into live tables (`--rows`, `--data-only`).
 * `folder`: what is restored is files, `--to` names a folder, and tablespaces can be put elsewhere (`--tablespace`). `dump`: of such files, one database can be written into a file (`--dump`). `start`: a server can be started on them (`--start`).
 */
export type RestorePart = 'database' | 'roles' | 'schema' | 'rows' | 'folder' | 'dump' | 'start';
