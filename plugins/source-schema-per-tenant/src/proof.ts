import { globalStatements, isGlobals, readSettings, type ProofKind } from '@pgsilo/postgres';
import { largeObjectsOf } from './restored-large-objects.ts';
import { databaseUnitName, schemaOf } from './units.ts';
import { describeUnread, unreadVersion } from './unread-archive.ts';

/** How the units are proved: each schema in a database of its own, the globals in a server of their own. */
export const proof: ProofKind = {
  unfit: (backup) => {
    const unread = unreadVersion(backup);
    if (unread !== undefined)
      return `${describeUnread(unread)}, so that a copy could not be compared with it`;
    return backup.unit.name === databaseUnitName
      ? 'it holds what belongs to the database and to no tenant, whose copy lacks what needs the tenants: `pgsilo restore FILE @database --to NAME` shows what comes back'
      : undefined;
  },
  takesServer: ({ unit }) => isGlobals(unit),
  globalsOf: globalStatements,
  archiveOf: ({ unit }) => {
    if (isGlobals(unit)) return undefined;
    return unit.name === databaseUnitName ? 'database.dump' : 'schema.dump';
  },
  settingsOf: async (backup) => (backup.unit.name === databaseUnitName ? readSettings(backup) : undefined),
  othersOf: largeObjectsOf,
  schemaOf: ({ unit }) => (isGlobals(unit) ? undefined : schemaOf(unit)),
};
