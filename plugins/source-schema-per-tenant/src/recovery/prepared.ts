import type { Context, RestoreRequest } from '@pgsilo/plugin';
import type {
  DatabaseSettings,
  Fingerprint,
  Restorer,
  Session,
  TargetNames,
  Toc,
  Tool,
} from '@pgsilo/postgres';
import type { UnitNeeds } from '../about.ts';
import type { LargeObjectArchive } from '../restored-large-objects.ts';
import type { SourceSetup } from '../setup.ts';

/** A schema that is about to be put into the one database. */
export interface PreparedSchema {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly context: Context;
  /** In the database; the schema's transaction is this session's. */
  readonly session: Session;
  readonly applicationName: string;
  readonly schema: string;
  readonly needs: UnitNeeds;
  readonly archive: string;
  readonly toc: Toc;
  readonly tool: Tool;
  readonly tablespaces: boolean;
  readonly fingerprint: Fingerprint | undefined;
  readonly largeObjects: readonly LargeObjectArchive[];
  readonly warnings: readonly string[];
}

/** The database that is about to be made, with what belongs to no tenant. */
export interface PreparedDatabase {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly context: Context;
  /** A session outside the database that is made; holds the lock of its working name. */
  readonly admin: Session;
  readonly applicationName: string;
  readonly names: TargetNames;
  readonly settings: DatabaseSettings;
  readonly restorer: Restorer;
  readonly archive: string;
  readonly toc: Toc;
  readonly tool: Tool;
  readonly tablespaces: boolean;
  /** Tablespace of the database; undefined: the server's default. */
  readonly tablespace: string | undefined;
  readonly fingerprint: Fingerprint | undefined;
  readonly warnings: readonly string[];
  readonly swaps: false;
  readonly progress: { naming: boolean };
}
