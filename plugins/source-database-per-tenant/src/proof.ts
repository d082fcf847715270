import { globalStatements, isGlobals, readSettings, type ProofKind } from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** How the units are proved: each database in a database of its own, the globals in a server of their own. */
export function proofOf({ options }: SourceSetup): ProofKind {
  return {
    takesServer: ({ unit }) => isGlobals(unit),
    isRegistry: ({ unit }) => unit.origin['database'] === options.registry?.database,
    globalsOf: globalStatements,
    archiveOf: ({ unit }) => (isGlobals(unit) ? undefined : 'database.dump'),
    settingsOf: readSettings,
  };
}
