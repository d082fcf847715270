import type { ScratchRequest } from './proof.ts';
import type { RecoveryTarget } from './recovery-goal.ts';
import type { BackupView } from './source.ts';

/** What becomes of a row that is there already: the restore fails, it stays as it is, or it is made what it was (by primary key). */
export type RowConflict = 'fail' | 'skip' | 'replace';

/** Rows to be brought back into a live table. */
export interface RowSelection {
  /** `table` or `schema.table`, a part in double quotes where it holds a dot, a quote or a space. */
  readonly table: string;
  /** SQL of the person's own, for a copy that nobody else uses; undefined: all rows. */
  readonly where?: string;
}

/** What the person asked for. */
export interface RestoreRequest {
  readonly backup: BackupView;
  /**
   * Name of the new database (or schema); undefined: the source makes one that says where it came from and never equals the live one's.
   * Where the source's traits name `folder`: the folder for the files.
   */
  readonly to?: string;
  /** The state that is wanted, which is not before that of the backup; undefined: that of the backup. Asked only of sources whose traits say `pointInTime`. */
  readonly recovery?: RecoveryTarget;
  /** New folders of tablespaces, by the old ones. Asked only of sources whose traits name `folder` among their parts. */
  readonly tablespaces?: Readonly<Record<string, string>>;
  /** Start the restored server, and leave it running where it has recovered. Asked only of sources whose traits name `start` among their parts. */
  readonly start?: boolean;
  /** Connection string of another server; undefined: the pipeline's own. Secret. */
  readonly toServer?: string;
  /** The database, which exists, that a schema is put into; undefined: a new one, with `replace` or `toSchema` the unit's own. Asked only of sources whose traits name `schema` among their parts. */
  readonly into?: string;
  /** Another name for the restored schema; asked only of the same. */
  readonly toSchema?: string;
  /** Put the restored copy in the live one's place, after it was compared. */
  readonly replace: boolean;
  /** With `replace`: drop the old one after the swap rather than keep it under another name. */
  readonly dropOld: boolean;
  /** Parallel restore workers. */
  readonly jobs: number;
  /** Only these tables (`schema.table`) and what they need; undefined: everything. */
  readonly tables?: readonly string[];
  /** Only these rows, into the live tables, which stay. Asked only of sources whose traits name `rows` among their parts. */
  readonly rows?: readonly RowSelection[];
  /** With `rows`; undefined: fail, and where all rows of a table are asked for, refuse one that has any. */
  readonly onConflict?: RowConflict;
  /** Only this database out of a unit that holds several. Asked only of sources whose traits name `database` among their parts. */
  readonly database?: string;
  /** With `database`: write it into this new file, as an archive of pg_dump, and touch no server. Asked only of sources whose traits name `dump` among their parts. */
  readonly dump?: string;
  /** Where a server of the source's own making may run, for what can only be had from a running one. An engine that restores into none leaves it out. */
  readonly scratch?: Pick<ScratchRequest, 'folder' | 'user'>;
  /** Only the roles of a unit that holds a whole server. Asked only of sources whose traits name `roles`. */
  readonly rolesOnly?: boolean;
  /** Restore ownership and grants; without it, all belongs to the role that restores. */
  readonly owner: boolean;
  /** The backup of another unit that goes with this one, in the same sink, for what cannot be restored without it: of the same run, else the newest before it; undefined: there is none. An engine that has no others leaves it out. */
  companion?(unit: string): Promise<BackupView | undefined>;
  /** Brackets one step of the work: the engine times it, shows it and puts it into the report. */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
  /**
   * Brackets the exchange of what is live with the restored copy: the person's `before-swap` and `after-swap` hooks, which stop and start applications, run around `work`.
   * A source calls it once with `replace`, where something live is there, when the copy is whole and compared; `work` is the exchange alone, so that what is stopped is stopped for a moment.
   * Rejects with `hook.failed`, and without having called `work`, when a hook before it failed: the live one is then left as it is, and the copy removed. Rejects with what `work` rejected with.
   * A hook after it that fails is the engine's to report: the exchange has happened.
   * @param live name of what is replaced: the database's or schema's.
   */
  swap<T>(live: string, work: () => Promise<T>): Promise<T>;
}

/** A restore that was found possible and not yet begun. */
export interface Restoration {
  /** What would be done, for people, a sentence each. */
  readonly plan: readonly string[];
  /** Name of what is live and would be replaced; the person types it to confirm. Undefined when nothing that exists is touched. */
  readonly replaces?: string;
  /**
   * Does it. What it replaces is not touched before the new copy is whole and compared. When it throws, or pgsilo is killed at any moment, what was live is as before or fully swapped.
   * Called at most once.
   */
  run(): Promise<RestoreOutcome>;
  /** Frees what `restore` opened. Called once, whether or not `run` was. */
  close(): Promise<void>;
}

export interface RestoreOutcome {
  /** Where it is now: the database's name; the schema's, where it was put into a database that was there; the folder's path. */
  readonly target: string;
  /** What was compared with the fingerprint: `14 tables, 2,310,442 rows, 3 sequences`. */
  readonly compared: string;
  /** What became of the rows that were asked for, by table. */
  readonly rows?: readonly RowsRestored[];
  /** Name under which the replaced one was kept. */
  readonly kept?: string;
  /** The server that was started, where that was asked for. */
  readonly server?: StartedServer;
  /** What a person should know: entries that were left out, settings that were not applied. */
  readonly warnings: readonly string[];
  /** What to do next, a command or sentence each. */
  readonly next: readonly string[];
}

export interface RowsRestored {
  readonly table: string;
  readonly inserted: number;
  readonly replaced: number;
  readonly skipped: number;
}

/** A restored server that runs, and outlives us. */
export interface StartedServer {
  readonly pid: number;
  readonly port: number;
  readonly socketFolder: string;
  /** File that it writes its log into. */
  readonly log: string;
  /** Files of write-ahead log that were brought to it. */
  readonly files: number;
  /** Undefined where the server does not say. */
  readonly end?: RecoveryEnd;
}

/** Where a server stopped recovering. */
export interface RecoveryEnd {
  readonly timeline: number;
  /** The first position that it did not replay. */
  readonly lsn: string;
  /** When the last transaction was committed that it replayed, in the server's words; undefined: it replayed none. */
  readonly lastTransaction?: string;
  /** Why there, in the server's words: `after transaction 810`. It may hold the name of a restore point. */
  readonly why: string;
  /** The timeline that it has begun. */
  readonly goesOnAs: number;
}
