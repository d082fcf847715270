/** What makes up the whole of a pipeline, for a restore of all of it into another server: what comes first, and what is known only when that is there. */
export interface Recovery {
  /** Units that are restored first, one after another: the roles, then the database that holds the registry. */
  readonly first: readonly RecoveryUnit[];
  /**
   * All other units, once the first are there: those that the restored registry names. Removes what killed restores have left on the server, and changes nothing else.
   * Throws as `plan` does when the list cannot be trusted.
   * @param known names of the units of the newest run, for a source whose rule goes by what exists: on an empty server nothing does.
   */
  others(known: () => Promise<readonly string[]>): Promise<readonly RecoveryUnit[]>;
}

export interface RecoveryUnit {
  /** Name of the unit. */
  readonly unit: string;
  /** What it becomes there: the database's name, given as `RestoreRequest.to`. Undefined for what has a name of its own, as roles. */
  readonly to?: string;
}
