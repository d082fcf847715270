import { readSettings, type ProofKind } from '@pgsilo/postgres';
import { databaseUnitName, schemaOf } from './units.ts';

/** How the units are proved: each schema in a database of its own. */
export const proof: ProofKind = {
  unfit: ({ unit }) =>
    unit.name === databaseUnitName
      ? 'it holds what belongs to the database and to no tenant, which pgsilo cannot restore by itself yet'
      : undefined,
  takesServer: () => false,
  globalsOf: () => Promise.resolve([]),
  archiveOf: ({ unit }) => (unit.name === databaseUnitName ? 'database.dump' : 'schema.dump'),
  settingsOf: async (backup) => (backup.unit.name === databaseUnitName ? readSettings(backup) : undefined),
  schemaOf: ({ unit }) => schemaOf(unit),
};
