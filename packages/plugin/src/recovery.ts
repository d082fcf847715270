import type { Context } from './context.ts';
import type { Restoration, RestoreRequest } from './restore.ts';
import type { BackupView } from './source.ts';

/** What makes up the whole of a pipeline, for a restore of all of it into another server: what comes first, and what is known only when that is there. */
export interface Recovery {
  /** Units that are restored first: the roles, then the database that holds the registry. One after another, but for `joined`. */
  readonly first: readonly RecoveryUnit[];
  /**
   * All other units, once the first are there: those that the restored registry names. Removes what killed restores have left on the server, and changes nothing else.
   * Throws as `plan` does when the list cannot be trusted.
   * @param known names of the units of the newest run, for a source whose rule goes by what exists: on an empty server nothing does.
   */
  others(known: () => Promise<readonly string[]>): Promise<readonly RecoveryUnit[]>;
  /** Where all units make up one database: how they are put together. Undefined: each is restored by itself, with `Source.restore`. */
  readonly joined?: JoinedRecovery;
}

export interface RecoveryUnit {
  /** Name of the unit. */
  readonly unit: string;
  /** What it becomes there: the database's name, given as `RestoreRequest.to`; of joined units that of the one database. Undefined for what has a name of its own, as roles. */
  readonly to?: string;
}

/**
 * Units that make up one database. Each is restored into it by itself, whole or not at all, several at once. What of a unit needs another one that is not there yet (a foreign key, a view)
 * is left out, and that is written into the database itself, so that a later call knows of it whatever became of this one. `finish` makes it when the others are there.
 */
export interface JoinedRecovery {
  /** The units in their order: those of a stage at once, a stage when the one before has ended. A unit may stand in several stages: it is then tried again where it has failed. */
  stages(backups: readonly BackupView[]): readonly (readonly BackupView[])[];
  /** What a person should know before anything is written, a sentence each: roles that the backups need and the server lacks. Reads only; of the backups nothing but their facts. */
  foresee(backups: readonly BackupView[], context: Context): Promise<readonly string[]>;
  /** Like `Source.restore`, with the one database as `to`. The outcome's `target` is the database. Throws `restore.target-exists` for a unit that is there already. */
  restore(request: RestoreRequest, context: Context): Promise<Restoration>;
  /** Units of the database that lack something, each with the backup that it was made of, in the order in which they are to be finished. None where there is no such database. */
  unfinished(database: string, context: Context): Promise<readonly UnfinishedUnit[]>;
  /**
   * Makes what a unit lacks, as far as it can be made now. May be called again for what is left.
   * @param last whether all units had their turn: only then the database is given its settings and its users are let in.
   */
  finish(request: RestoreRequest, last: boolean, context: Context): Promise<FinishedUnit>;
}

export interface UnfinishedUnit {
  readonly unit: string;
  readonly backup: string;
}

export interface FinishedUnit {
  /** What could not be made and why, a sentence each. */
  readonly lacks: readonly string[];
  /** What a person should know besides. */
  readonly warnings: readonly string[];
}
