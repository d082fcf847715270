import { createReadStream } from 'node:fs';
import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf, databaseExists, describeFingerprint, describeServer, downgradeProblem, findPgRestore, listed, longestIdentifier, majorVersion, openAdmin,
  readFingerprint, readToc, showName, targetNames, targetServer, throwProblems, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import { readNeeds, type Need, type UnitNeeds } from './about.ts';
import { prepareLiveRestore, refuseSchemaName } from './live-restore.ts';
import { runRestore } from './restore-run.ts';
import { prepareRowsRestore } from './rows-restore.ts';
import type { SourceSetup } from './setup.ts';
import { schemaOf } from './units.ts';

/** Prepares the restore of a tenant's schema: what can stand in its way is found here, before the first write. */
export async function prepareRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  const { backup } = request;
  const schema = refuseUnbuilt(request);
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
  refuseDependent(schema, needs.needsSchemas);
  if (request.toSchema !== undefined) refuseSchemaName(request.toSchema);
  const names = targetNames(request, schema);
  if (names.target === '' || Buffer.byteLength(names.target) > longestIdentifier)
    throw new PgsiloError(
      'usage.invalid',
      `the database name ${showName(names.target)} is not of 1 to 63 bytes`,
    );
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const admin = await openAdmin(
    targetServer(setup.settings, request),
    names,
    applicationName,
    context.signal,
  );
  try {
    if (await databaseExists(admin, names.target))
      throw new PgsiloError(
        'restore.target-exists',
        `database ${showName(names.target)} is on ${describeServer(admin.settings)} already`,
        {
          hint: 'Choose another name with --to, or drop it when it is an earlier restore that is no longer needed.',
        },
      );
    const downgrade = downgradeProblem(majorVersion(backup.facts.server.version), admin.major);
    throwProblems(downgrade ? [downgrade] : []);
    await refuseMissingExtensions(admin, needs);
    const fingerprint = await readFingerprint(backup);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'schema.dump').spool(),
    );
    const toc = await readToc(createReadStream(archive), () => false);
    const dumpMajor = majorVersion(toc.header.dumpVersion) ?? 0;
    const tool = await findPgRestore(setup, admin.major, dumpMajor, context.signal);
    const prepared = {
      setup, request, context, admin, applicationName, names, schema, needs, archive, tool, fingerprint, entries: undefined, swaps: false as const,
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
        `Restore schema ${showName(schema)} into it with ${tool.name} ${tool.version}${request.toSchema === undefined ? '' : `, and name it ${showName(request.toSchema)}`}`,
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

/** The schema to restore. */
function refuseUnbuilt(request: RestoreRequest): string {
  const schema = schemaOf(request.backup.unit);
  if (schema === undefined)
    throw refused(
      'pgsilo cannot restore the unit @database by itself yet',
      'By hand: pgsilo show prints how to decode its archives. pg_restore --section=pre-data --section=data database.dump, then each rows-….dump, then --section=post-data database.dump.',
    );
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
  if (request.tables)
    throw refused(
      'pgsilo cannot restore single tables of a schema yet',
      'Restore the whole schema beside the live one (--to-schema), and copy what you need; or only its rows into the live tables: --table NAME --data-only.',
    );
  return schema;
}

function refuseDependent(schema: string, needs: readonly Need[]): void {
  if (needs.length === 0) return;
  const shown = needs.map(
    ({ name, objects, example }) =>
      `${showName(name)} (${objects === 1 ? '' : `${objects} objects, such as `}${example})`,
  );
  throw refused(
    `schema ${showName(schema)} cannot stand alone: it needs ${shown.length === 1 ? 'schema' : 'the schemas'} ${listed(shown)}`,
    'Put it into a database that has them: --into NAME, or beside the live one under another name: --to-schema NAME.',
  );
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
