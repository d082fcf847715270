import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  databaseExists,
  describeServer,
  listed,
  localeProblem,
  longestIdentifier,
  openAdmin,
  plural,
  quoteIdentifier,
  showName,
  sweepLeftovers,
  targetNames,
  targetServer,
} from '@pgsilo/postgres';
import type { DumpedDatabase } from './contents.ts';
import { copyDatabase } from './copy-database.ts';
import { openDumpTarget, type DumpTarget } from './dump-target.ts';
import type { SourceSetup } from './setup.ts';

/** Prepares the restore of one database out of the dump, under a name that no database has. */
export async function prepareDatabaseRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  name: string,
  context: Context,
): Promise<Restoration> {
  const names = targetNames(request, name);
  refuseLongName(names.target);
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const server = targetServer(setup.settings, request);
  const admin = await openAdmin(server, names, applicationName, context.signal);
  try {
    // Told before a large backup is fetched.
    if (await databaseExists(admin, names.target))
      throw new PgsiloError(
        'restore.target-exists',
        `database ${showName(names.target)} is on ${describeServer(admin.settings)} already`,
        {
          hint: 'Choose another name with --to, or drop it when it is an earlier restore that is no longer needed.',
        },
      );
    const target = await openDumpTarget(setup, request, admin, applicationName, context);
    const database = named(target.contents.databases, name);
    refuseLocale(target, database);
    return {
      plan: describe(target, database, names.target),
      run: async () => {
        await sweepLeftovers(admin, context);
        const copied = await copyDatabase(target, database, names, request.step);
        const next = [
          `Look into it: psql with the database ${quoteIdentifier(names.target)}`,
          `Remove it when it is no longer needed: DROP DATABASE ${quoteIdentifier(names.target)};`,
        ];
        return { target: names.target, ...copied, next };
      },
      close: () => admin.close(),
    };
  } catch (error) {
    await admin.close();
    throw error;
  }
}

/** The database of a dump; throws `restore.no-match` with the names of those that are in it. */
function named(databases: readonly DumpedDatabase[], name: string): DumpedDatabase {
  const found = databases.find((one) => one.name === name);
  if (found) return found;
  throw new PgsiloError('restore.no-match', `the backup has no database ${showName(name)}`, {
    hint:
      databases.length === 0
        ? 'It holds roles and tablespaces alone.'
        : `It has: ${listed(databases.map((one) => showName(one.name)))}`,
  });
}

function describe(target: DumpTarget, database: DumpedDatabase, name: string): readonly string[] {
  const { admin, tool, request } = target;
  const locale = database.creation ? ` and locale ${database.creation.locale.collate}` : '';
  return [
    `Create a database on ${describeServer(admin.settings)} with encoding ${database.encoding}${locale}, which only this restore connects to`,
    `Run the part of database ${showName(database.name)} in it (${plural(database.tables, 'table')}, ${plural(database.rows, 'row')}) with ${tool.name} ${tool.version}, which is kept from running commands of its own`,
    'Compare tables, rows, sequences and large objects with the dump, and run ANALYZE',
    request.owner
      ? 'Give it the owner, the grants and the settings that the database had'
      : 'Give it the settings that the database had, but neither owner nor grants',
    `Name it ${showName(name)}`,
  ];
}

/** Throws when the server cannot have a database like this one. */
export function refuseLocale({ admin, templateRules }: DumpTarget, { creation }: DumpedDatabase): void {
  const problem = creation && localeProblem(creation.locale, admin.major, templateRules);
  if (problem !== undefined) throw new PgsiloError('restore.refused', problem);
}

/** The server would cut it without a word, and the restore end up under another name. */
function refuseLongName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (bytes >= 1 && bytes <= longestIdentifier) return;
  throw new PgsiloError(
    'usage.invalid',
    `the database name ${showName(name)} has ${bytes} bytes; PostgreSQL takes 1 to ${longestIdentifier}`,
  );
}
