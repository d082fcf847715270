import type { SourceSetup as SetupOf } from '@pgsilo/postgres';
import type { Options } from './options.ts';

/** What every part of the source works with. */
export type SourceSetup = SetupOf<Options>;

/** The database whose schemas are the tenants. */
export function databaseOf(setup: SourceSetup): string {
  return setup.options.database ?? setup.settings.database;
}
