import {
  PgsiloError,
  type BackupView,
  type Context,
  type Recovery,
  type RestoreRequest,
} from '@pgsilo/plugin';
import { globalsUnit, isGlobals, parseConnection, prepareGlobalsUnit, refuseBadNames, sweepServer } from '@pgsilo/postgres'; // prettier-ignore
import { listTenants } from '../plan.ts';
import type { Schema } from '../schemas.ts';
import { databaseOf, type SourceSetup } from '../setup.ts';
import { databaseUnitName, schemaOf } from '../units.ts';
import { describeUnread, unreadVersion } from '../unread-archive.ts';
import { prepareDatabase } from './database.ts';
import { finishDatabase, finishSchema, unfinishedUnits } from './finish.ts';
import { missingRolesWarnings, stagesOf } from './order.ts';
import { prepareSchema } from './schema.ts';

/** Roles, what belongs to the database, then what all tenants share, then the tenants that the restored registry names: all into one database of the name that it had. */
export function recoverAll(setup: SourceSetup, server: string, context: Context): Recovery {
  const database = databaseOf(setup);
  const { globals, shared = [] } = setup.options;
  const there: SourceSetup = {
    ...setup,
    options: { ...setup.options, database },
    settings: parseConnection(server),
  };
  return {
    first: [
      ...(globals ? [{ unit: globalsUnit.name }] : []),
      ...[databaseUnitName, ...shared].map((unit) => ({ unit, to: database })),
    ],
    async others(known) {
      await sweepServer(there.settings, context);
      const listed = await listTenants(there, schemasOf(setup, await known()), context);
      refuseBadNames(listed, 'schema');
      const isShared = new Set(shared);
      return listed.filter(({ place }) => !isShared.has(place)).map(({ unit }) => ({ unit, to: database }));
    },
    joined: {
      stages: (backups) =>
        stagesOf(
          setup,
          backups.filter(({ unit }) => !isGlobals(unit)),
        ),
      // Those that are missing are made first, where their backup is there too.
      foresee: async (backups, call) =>
        backups.some(({ unit }) => isGlobals(unit)) ? [] : missingRolesWarnings(there, backups, call),
      restore: async (request, call) => {
        if (isGlobals(request.backup.unit)) return prepareGlobalsUnit(setup.settings, request, call);
        refuseUnread(request.backup);
        return schemaOf(request.backup.unit) === undefined
          ? prepareDatabase(setup, request, call)
          : prepareSchema(setup, request, call);
      },
      unfinished: (name, call) => unfinishedUnits(there, name, call),
      finish: (request: RestoreRequest, last, call) =>
        schemaOf(request.backup.unit) === undefined
          ? finishDatabase(setup, request, last, call)
          : finishSchema(setup, request, call),
    },
  };
}

/** It comes back by what its archive says, entry by entry. */
function refuseUnread(backup: BackupView): void {
  const version = unreadVersion(backup);
  if (version === undefined) return;
  throw new PgsiloError(
    'restore.refused',
    `${describeUnread(version)}: it cannot be put together with others`,
    {
      hint: 'Restore it by itself, into a new database, or look for a newer pgsilo.',
    },
  );
}

/** With `match` the tenants are those of the newest run: there a schema and its unit have one name. */
function schemasOf({ options }: SourceSetup, known: readonly string[]): ReadonlyMap<string, Schema> {
  if (options.match === undefined) return new Map();
  const names = known.filter((name) => !name.startsWith('@'));
  return new Map(names.map((name) => [name, { oid: 0, name, ofExtension: false, tables: 0 }]));
}
