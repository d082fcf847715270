import { createReadStream } from 'node:fs';
import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf, refuseDowngrade, findPgRestore, majorVersion, openAdmin, openSession, readFingerprint, readToc, refuseAbsentTables, refuseFilledTables,
  refuseOthersWithRows, rowsRestoration, showName, targetNames, targetServer, type RowsTable, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import type { UnitNeeds } from './about.ts';
import { schemasNamed, tableNameIn } from './chosen-tables.ts';
import { findSchema } from './live-conditions.ts';
import { fetchNeeded, type NeededUnit } from './needed-units.ts';
import { hasLargeObjects } from './restored-large-objects.ts';
import { compare, createWorking, restoreInto, type PreparedRestore } from './restore-run.ts';
import { databaseOf, type SourceSetup } from './setup.ts';

/** Prepares bringing rows back into live tables, through a scratch copy of the schema: the condition runs there and nowhere else. */
export async function prepareRowsRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
  schema: string,
  needs: UnitNeeds,
): Promise<Restoration> {
  const { backup, rows = [] } = request;
  refuseOthersWithRows(request);
  const tables = rows.map(({ table, where }): RowsTable => ({
    schema,
    name: tableNameIn(schema, table),
    where,
  }));
  const database = databaseOf(setup);
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const { signal } = context;
  const server = targetServer(setup.settings, request);
  const session = await openSession(server, { database, applicationName, purpose: 'restore rows', signal });
  let admin: Session | undefined;
  try {
    if (!(await findSchema(session, schema)))
      throw new PgsiloError(
        'restore.no-match',
        `database ${showName(database)} has no schema ${showName(schema)}`,
        { hint: 'Restore all of it: --replace.' },
      );
    await refuseFilledTables(session, request, tables);
    refuseDowngrade(backup, session.major);
    const names = targetNames(request, schema);
    admin = await openAdmin(server, names, applicationName, signal);
    const fingerprint = await readFingerprint(backup);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'schema.dump').spool(),
    );
    const toc = await readToc(createReadStream(archive));
    refuseAbsentTables(toc.entries, tables, ({ name }) => showName(name));
    const tool = await findPgRestore(setup, session.major, majorVersion(toc.header.dumpVersion) ?? 0, signal);
    // Neither indexes nor foreign keys, which may need other schemas, help to read rows once.
    const entries = toc.entries.filter(({ section }) => section === 'pre-data' || section === 'data');
    // Of other schemas the tables may have types and functions. Rows of theirs are of no use here.
    const needsSchemas = schemasNamed(needs.needsSchemas, entries);
    const needed = (await fetchNeeded(request, schema, { ...needs, needsSchemas })).map(withoutRows);
    const making: PreparedRestore = {
      setup, request, context, admin, applicationName, names, schema, needs, archive, largeObjects: [], needed, warnings: [], tool, entries, swaps: false,
      fingerprint: fingerprint && { ...fingerprint, largeObjects: 0 },
      progress: { naming: false },
    }; // prettier-ignore
    return rowsRestoration({
      request,
      copy: {
        ...making,
        create: (working) => createWorking(making, working),
        restore: (working) => restoreInto(making, working),
        compare: (opened) => compare(making, opened),
      },
      what: `schema ${showName(schema)}`,
      session,
      live: schema,
      place: `schema ${showName(schema)} in database ${showName(database)}`,
      tables,
      show: ({ name }) => showName(name),
      onConflict: request.onConflict ?? 'fail',
      lockTimeout: setup.options.lockTimeout,
      largeObjects: hasLargeObjects(backup),
    });
  } catch (error) {
    await Promise.all([session.close(), admin?.close()]);
    throw error;
  }
}

function withoutRows(unit: NeededUnit): NeededUnit {
  const entries = unit.toc.entries.filter(({ section }) => section === 'pre-data');
  return { ...unit, toc: { ...unit.toc, entries }, largeObjects: [] };
}
