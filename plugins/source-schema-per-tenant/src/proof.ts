import type { ProofKind } from '@pgsilo/postgres';
import { largeObjectsOf } from './restored-large-objects.ts';
import { databaseUnitName, schemaOf } from './units.ts';

/** How the units are proved: each schema in a database of its own. */
export const proof: ProofKind = {
  unfit: ({ unit }) =>
    unit.name === databaseUnitName
      ? 'it holds what belongs to the database and to no tenant, whose copy lacks what needs the tenants: `pgsilo restore FILE @database --to NAME` shows what comes back'
      : undefined,
  takesServer: () => false,
  globalsOf: () => Promise.resolve([]),
  archiveOf: ({ unit }) => (unit.name === databaseUnitName ? undefined : 'schema.dump'),
  othersOf: largeObjectsOf,
  schemaOf: ({ unit }) => schemaOf(unit),
};
