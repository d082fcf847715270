import type { SourceSetup as SetupOf } from '@pgsilo/postgres';
import type { Options } from './options.ts';

/** What every part of the source works with. */
export type SourceSetup = SetupOf<Options>;
