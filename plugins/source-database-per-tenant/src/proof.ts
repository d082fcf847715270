import { artifactOf, readBytes, readGlobalsFile, readSettings, type ProofKind } from '@pgsilo/postgres';
import { globalsUnit } from './globals.ts';
import type { SourceSetup } from './setup.ts';

/** How the units are proved: each database in a database of its own, the globals in a server of their own. */
export function proofOf({ options }: SourceSetup): ProofKind {
  return {
    takesServer: ({ unit }) => unit.name === globalsUnit.name,
    isRegistry: ({ unit }) => unit.origin['database'] === options.registry?.database,
    globalsOf: async (backup) => readGlobalsFile(await readBytes(artifactOf(backup, 'globals.sql'))),
    archiveOf: ({ unit }) => (unit.name === globalsUnit.name ? undefined : 'database.dump'),
    settingsOf: readSettings,
  };
}
