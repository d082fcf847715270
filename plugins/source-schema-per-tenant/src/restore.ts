import { createReadStream } from 'node:fs';
import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf, describeFingerprint, describeServer, refuseDowngrade, findPgRestore, isGlobals, listed, majorVersion, openAdmin, plural, prepareGlobalsUnit,
  readFingerprint, readToc, showName, targetNames, targetServer, type Fingerprint, type Session, type TableSelection, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import { readNeeds, type UnitNeeds } from './about.ts';
import {
  chooseTables,
  fingerprintOf,
  schemasNamed,
  withoutForeignKeysOut,
  withoutObjects,
} from './chosen-tables.ts';
import { prepareLiveRestore, refuseSchemaName } from './live-restore.ts';
import { prepareDatabaseRestore } from './database-restore.ts';
import { refuseExisting, refuseLongDatabaseName } from './new-database.ts';
import { describeNeeded, fetchNeeded, type NeededUnit } from './needed-units.ts';
import { countOf, fetchLargeObjects } from './restored-large-objects.ts';
import { runRestore } from './restore-run.ts';
import { prepareRowsRestore } from './rows-restore.ts';
import type { SourceSetup } from './setup.ts';
import { schemaOf } from './units.ts';
import { describeUnread, unreadVersion } from './unread-archive.ts';

/** Prepares the restore of a tenant's schema: what can stand in its way is found here, before the first write. */
export async function prepareRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  const { backup } = request;
  if (isGlobals(backup.unit)) return prepareGlobalsUnit(setup.settings, request, context);
  const schema = schemaOf(backup.unit);
  const unread = unreadVersion(backup);
  if (unread !== undefined) refuseForUnread(request, schema, unread);
  if (schema === undefined) return prepareDatabaseRestore(setup, request, context);
  refuseContradictions(request);
  const needs = readNeeds(backup.facts.about);
  if (!needs) throw refused(`backup ${backup.id} does not say what its schema needs`, 'Upgrade pgsilo.');
  if (request.rows) return prepareRowsRestore(setup, request, context, schema, needs);
  const beside = request.toSchema !== undefined && request.to === undefined;
  if (request.replace || request.into !== undefined || beside)
    return prepareLiveRestore(setup, request, context, schema, needs);
  return prepareNewDatabase(setup, request, context, schema, needs);
}

/** A database of its own for the schema. */
async function prepareNewDatabase(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
  schema: string,
  needs: UnitNeeds,
): Promise<Restoration> {
  const { backup } = request;
  if (request.toSchema !== undefined) refuseSchemaName(request.toSchema);
  const names = targetNames(request, schema);
  refuseLongDatabaseName(names.target);
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const admin = await openAdmin(
    targetServer(setup.settings, request),
    names,
    applicationName,
    context.signal,
  );
  try {
    await refuseExisting(admin, names.target);
    refuseDowngrade(backup, admin.major);
    await refuseMissingExtensions(admin, needs);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'schema.dump').spool(),
    );
    // What is not understood is restored as a whole; nothing is asked of it.
    const toc = unreadVersion(backup) === undefined ? await readToc(createReadStream(archive)) : undefined;
    const chosen = request.tables && toc ? chooseTables(toc, schema, request.tables) : undefined;
    const wanted = chosen ? schemasNamed(needs.needsSchemas, chosen.entries) : needs.needsSchemas;
    const whole = await fetchNeeded(request, schema, { ...needs, needsSchemas: wanted });
    const { needed, entries, warnings } = chosen
      ? restOf(chosen, whole)
      : { needed: whole, entries: toc?.entries, warnings: [] };
    for (const each of needed) await refuseMissingExtensions(admin, each.needs);
    const largeObjects = request.tables ? [] : await fetchLargeObjects(request);
    const fingerprint = together([
      fingerprintOf(await readFingerprint(backup), chosen && entries),
      ...needed.map((each) => each.fingerprint),
    ]);
    const dumpMajor =
      majorVersion(toc?.header.dumpVersion ?? backup.facts.tool.replace(/^pg_dump /, '')) ?? 0;
    const tool = await findPgRestore(setup, admin.major, dumpMajor, context.signal);
    const prepared = {
      setup, request, context, admin, applicationName, names, schema, needs, archive, largeObjects, needed, tool, fingerprint,
      entries: chosen || needed.length > 0 ? entries : undefined, warnings: [...warnings, ...withoutObjects(request)], swaps: false as const,
      progress: { naming: false },
    }; // prettier-ignore
    return {
      plan: [
        `Create a database on ${describeServer(admin.settings)} with encoding ${needs.encoding} and locale ${needs.collate}, which only this restore connects to`,
        ...(needs.needsExtensions.length > 0
          ? [
              `Create the extensions that the schema needs: ${listed(needs.needsExtensions.map(({ name }) => showName(name)))}`,
            ]
          : []),
        ...describeNeeded(needed, request),
        `Restore ${request.tables ? `${plural(request.tables.length, 'table')} of ` : ''}schema ${showName(schema)} into it with ${tool.name} ${tool.version}${request.toSchema === undefined ? '' : `, and name it ${showName(request.toSchema)}`}`,
        ...(largeObjects.length > 0
          ? [`Bring back ${plural(countOf(largeObjects), 'large object')}, under the numbers that they had`]
          : []),
        fingerprint
          ? `Compare it with the fingerprint of the backup: ${describeFingerprint(fingerprint)}`
          : 'Compare nothing: the backup has no fingerprint',
        'Run ANALYZE',
        `Name it ${showName(names.target)}`,
      ],
      run: () => runRestore(prepared),
      close: () => admin.close(),
    };
  } catch (error) {
    await admin.close();
    throw error;
  }
}

function refuseContradictions(request: RestoreRequest): void {
  const { replace, to, into, toSchema } = request;
  if (replace && (to ?? into ?? toSchema) !== undefined)
    throw refused(
      "--replace gives the restored schema the live one's name and place, and another is named too",
      'Use one of them.',
    );
  if (to !== undefined && into !== undefined)
    throw refused('--to names a new database, and --into one that is there', 'Use one of them.');
  if (request.dropOld && !replace)
    throw refused(
      '--drop-old drops the schema that --replace replaces',
      'Use it with --replace, or leave it out.',
    );
  if (request.tables && replace)
    throw refused(
      "--replace with --table would put a schema of a few tables in the live one's place",
      'Restore the tables beside it (--to-schema) or into a new database (--to); or only their rows into the live ones: --table NAME --data-only.',
    );
}

/** All that takes a look into the archive. */
function refuseForUnread(request: RestoreRequest, schema: string | undefined, version: string): void {
  const { replace, into, to, toSchema, tables, rows, backup } = request;
  const beside = toSchema !== undefined && to === undefined;
  const others = (readNeeds(backup.facts.about)?.needsSchemas.length ?? 0) > 0;
  if (schema !== undefined && !replace && into === undefined && !beside && !tables && !rows && !others)
    return;
  throw refused(
    `backup ${backup.id} of ${showName(backup.unit.name)} can only be restored whole: ${describeUnread(version)}`,
    schema === undefined || others
      ? 'Look for a newer pgsilo; or by hand: `pgsilo show` prints how to decode it, and its own pg_restore restores it into a database that has what it needs.'
      : 'Restore it into a new database (--to) and take from there what is missing, or look for a newer pgsilo.',
  );
}

/** Single tables, and what comes along with them: neither may point at what is not there. */
function restOf(
  chosen: TableSelection,
  whole: readonly NeededUnit[],
): {
  readonly needed: readonly NeededUnit[];
  readonly entries: readonly TocEntry[];
  readonly warnings: readonly string[];
} {
  const { parts, warnings } = withoutForeignKeysOut([chosen.entries, ...whole.map(({ toc }) => toc.entries)]);
  return {
    entries: parts[0]!,
    needed: whole.map((each, index) => ({ ...each, toc: { ...each.toc, entries: parts[index + 1]! } })),
    warnings: [...chosen.warnings, ...warnings],
  };
}

/** Of several archives of one run; undefined: none of them has one, so that nothing can be compared. */
function together(all: readonly (Fingerprint | undefined)[]): Fingerprint | undefined {
  const [first, ...others] = all.filter((each) => each !== undefined);
  if (!first || others.length === 0) return first;
  const parts = [first, ...others];
  const hashed = parts.every(({ kind }) => kind === 'content');
  return {
    ...first,
    kind: hashed ? 'content' : 'counts',
    tables: parts
      .flatMap(({ tables }) => tables)
      .map((table) => (hashed ? table : { ...table, hash: undefined })),
    sequences: parts.flatMap(({ sequences }) => sequences),
    largeObjects: parts.reduce((sum, { largeObjects }) => sum + largeObjects, 0),
  };
}

async function refuseMissingExtensions(admin: Session, needs: UnitNeeds): Promise<void> {
  const rows = await admin.query<{ name: string }>('SELECT name::text AS name FROM pg_available_extensions');
  const there = new Set(rows.map(({ name }) => name));
  const missing = needs.needsExtensions.filter(({ name }) => !there.has(name));
  if (missing.length === 0) return;
  throw refused(
    `the server lacks extensions that the backup needs: ${listed(missing.map(({ name }) => showName(name)))}`,
    'Install their packages on the server that is restored into.',
  );
}

function refused(message: string, hint: string): PgsiloError {
  return new PgsiloError('restore.refused', message, { hint });
}
