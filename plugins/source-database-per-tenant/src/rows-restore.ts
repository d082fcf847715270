import { createReadStream } from 'node:fs';
import {
  PgsiloError,
  type Context,
  type Restoration,
  type RestoreRequest,
  type RowSelection,
} from '@pgsilo/plugin';
import {
  artifactOf, databaseExists, refuseDowngrade, findPgRestore, fingerprintOfEntries, isTable, listed, majorVersion, openAdmin, openSession, parseTableName,
  readFingerprint, readRestorer, readSettings, readToc, refuseAbsentTables, refuseFilledTables, refuseOthersWithRows, rowsRestoration, showName, showTable,
  splitTableName, targetNames, targetServer, throwProblems, type RowsTable, type Session, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import { databaseOf } from './plan.ts';
import type { PreparedRestore } from './prepared-restore.ts';
import { examineConditions } from './restore-conditions.ts';
import { compareCopy, createWorking, restoreInto } from './restore-run.ts';
import type { SourceSetup } from './setup.ts';

/** Prepares bringing rows back into live tables, through a scratch copy of the database: the condition runs there and nowhere else. */
export async function prepareRowsRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  const { backup, rows = [] } = request;
  refuseOthersWithRows(request);
  const database = databaseOf(backup.unit);
  const names = targetNames(request, database);
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const { signal } = context;
  const server = targetServer(setup.settings, request);
  const admin = await openAdmin(server, names, applicationName, signal);
  let session: Session | undefined;
  try {
    if (!(await databaseExists(admin, database)))
      throw new PgsiloError(
        'restore.no-match',
        `there is no database ${showName(database)} to put rows into`,
        {
          hint: 'Restore all of it: --replace.',
        },
      );
    refuseDowngrade(backup, admin.major);
    const settings = await readSettings(backup);
    const fingerprint = await readFingerprint(backup);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'database.dump').spool(),
    );
    const toc = await readToc(createReadStream(archive));
    const tables = rows.map((selection) => tableOf(selection, toc.entries));
    refuseAbsentTables(toc.entries, tables, showTable);
    session = await openSession(server, { database, applicationName, purpose: 'restore rows', signal });
    await refuseFilledTables(session, request, tables);
    // Neither indexes nor foreign keys nor large objects help to read rows once.
    const chosen = toc.entries.filter(
      ({ section, desc }) => (section === 'pre-data' || section === 'data') && !desc.startsWith('BLOB'),
    );
    const restorer = await readRestorer(admin);
    const conditions = await examineConditions(admin, { request, toc, chosen, settings, restorer });
    throwProblems(conditions.problems);
    const tool = await findPgRestore(setup, admin.major, majorVersion(toc.header.dumpVersion) ?? 0, signal);
    const making: PreparedRestore = {
      setup, request, context, admin, applicationName, settings, archive, tool, restorer, names, conditions, swaps: false,
      fingerprint: fingerprint && fingerprintOfEntries(fingerprint, chosen),
      warnings: [],
      entryCount: chosen.length,
      progress: { naming: false },
    }; // prettier-ignore
    return rowsRestoration({
      request,
      copy: {
        ...making,
        create: (working) => createWorking(making, working),
        restore: (working) => restoreInto(making, working),
        compare: (opened) => compareCopy(making, opened),
      },
      what: `database ${showName(database)}`,
      session,
      live: database,
      place: `database ${showName(database)}`,
      tables,
      show: showTable,
      onConflict: request.onConflict ?? 'fail',
      lockTimeout: setup.options.lockTimeout,
      largeObjects: toc.entries.some(({ desc }) => desc.startsWith('BLOB')),
    });
  } catch (error) {
    await Promise.all([session?.close(), admin.close()]);
    throw error;
  }
}

/** `public.orders`, or `orders` where one schema alone has a table of that name. Throws `usage.invalid`. */
function tableOf({ table, where }: RowSelection, entries: readonly TocEntry[]): RowsTable {
  const parts = splitTableName(table);
  if (parts?.length !== 1) return { ...parseTableName(table), where };
  const name = parts[0]!.name;
  const found = entries
    .filter((entry) => isTable(entry) && entry.tag === name)
    .map((entry) => entry.namespace!)
    .sort();
  if (found.length > 1)
    throw new PgsiloError(
      'usage.invalid',
      `several schemas have a table ${showName(name)}: ${listed(found.map(showName))}`,
      { hint: `Name it with its schema: ${showTable({ schema: found[0]!, name })}.` },
    );
  return { schema: found[0] ?? 'public', name, where };
}
