import type { Context, RestoreRequest } from '@pgsilo/plugin';
import type { DatabaseSettings, Fingerprint, Session, Tool, TargetNames, Restorer } from '@pgsilo/postgres';
import type { Conditions } from './restore-conditions.ts';
import type { SourceSetup } from './setup.ts';

/** A restore of a database that was found possible. */
export interface PreparedRestore {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly context: Context;
  /** A session outside all databases that the restore touches; holds the lock of the working database. */
  readonly admin: Session;
  /** Of all sessions of this restore. */
  readonly applicationName: string;
  readonly names: TargetNames;
  /** Whether there is a live database to swap with. */
  readonly swaps: boolean;
  readonly settings: DatabaseSettings;
  readonly fingerprint: Fingerprint | undefined;
  /** Path of the whole archive. */
  readonly archive: string;
  readonly tool: Tool;
  readonly restorer: Restorer;
  readonly conditions: Conditions;
  readonly warnings: readonly string[];
  readonly entryCount: number;
  readonly progress: {
    /** Set before the working database is renamed. */
    naming: boolean;
  };
}
