import type { Context, Json } from './context.ts';
import type { BackupView } from './source.ts';

/** What kind of server backups are to be proved in. */
export interface ScratchRequest {
  /** Version of the server that the backups come from (`UnitFacts.server.version`). A server of the source's own making is of the same major version. */
  readonly serverVersion: string;
  /** Folder for a server of the source's own making; it holds all that is restored. */
  readonly folder: string;
  /** Connection string of a server to use instead of making one. Secret. */
  readonly connection?: string;
  /** Name of the operating system's user that a server of the source's own making runs as, where pgsilo runs as root. */
  readonly user?: string;
}

/**
 * A server in which copies of backups are restored, looked at and thrown away: one of the source's own making, that nobody else can reach and that is gone with `close()`, or one that a person named.
 * The engine restores with `Source.restore`, `toServer: connection` and `to: copyName(backup)`; what goes before and after that is here. Calls for several backups may overlap.
 */
export interface ScratchServer {
  /** For people: `a throwaway server of PostgreSQL 15.18`. */
  readonly about: string;
  /** For `RestoreRequest.toServer`. Secret. */
  readonly connection: string;
  /** Why this unit cannot be proved there, although nothing may be wrong with its backup; undefined: it can. */
  unfit(backup: BackupView): string | undefined;
  /** Whether the unit takes the server as a whole rather than a database in it, so that it must have one for itself; in a drill, whether it goes before all others. */
  takesServer(backup: BackupView): boolean;
  /** Whether the unit tells which tenants there are: in a drill it goes before them. */
  isRegistry(backup: BackupView): boolean;
  /** Name of the copy; undefined: the unit keeps the names that are in it. */
  copyName(backup: BackupView): string | undefined;
  /** Name of the copy of a database that all units make up together (`Recovery.joined`); the same at each call. */
  jointName(): string;
  /** Makes what the unit needs around it: roles, those of `globals` as they were, others that can do nothing; places for its tablespaces. Called before `Source.restore`. */
  prepare(backup: BackupView, globals: BackupView | undefined, context: Context): Promise<void>;
  /** Compares what a restore does not compare itself, the schema above all, and runs the checks, which cannot write. `target` is the restore's; a joint copy is whole by then. Throws only when it cannot be done at all. */
  examine(
    target: string,
    backup: BackupView,
    checks: readonly ProofCheck[],
    context: Context,
  ): Promise<Examination>;
  /** Removes a copy, whole or not, under the name that `copyName` gave. */
  remove(backup: BackupView, context: Context): Promise<void>;
  /** Ends the server and removes all of it, or all that was made on a server that a person named. Works after an abort; called once. */
  close(): Promise<void>;
}

/** A question to a restored copy, with the answer that it must give. */
export interface ProofCheck {
  readonly name: string;
  /** One statement, which returns one row of one column. */
  readonly sql: string;
  readonly expect: Json;
  /** Milliseconds that it may take. */
  readonly timeout: number;
  /** Which database of a unit that holds several. */
  readonly database?: string;
}

export interface Examination {
  /** What was compared, for people: `schema: 37 objects`. */
  readonly compared: readonly string[];
  /** Differences as sentences: `INDEX public.orders_at is not there`. Empty: equal. */
  readonly differences: readonly string[];
  readonly checks: readonly CheckOutcome[];
}

export interface CheckOutcome {
  readonly name: string;
  readonly status: 'ok' | 'failed';
  /** Milliseconds. */
  readonly took: number;
  /** Why it failed. May hold what the copy holds, so it is shown and never stored. */
  readonly message?: string;
}
