import { createReadStream } from 'node:fs';
import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf, databaseExists, describeFingerprint, describeServer, downgradeProblem, findPgRestore, listed, longestIdentifier, majorVersion, openAdmin,
  readFingerprint, readToc, showName, targetNames, targetServer, throwProblems, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import { readNeeds, type Need, type UnitNeeds } from './about.ts';
import { runRestore } from './restore-run.ts';
import type { SourceSetup } from './setup.ts';
import { schemaOf } from './units.ts';

/** Prepares the restore of a tenant's schema into a database of its own: what can stand in its way is found here, before the first write. */
export async function prepareRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  const { backup } = request;
  const schema = refuseUnbuilt(request);
  const needs = readNeeds(backup.facts.about);
  if (!needs) throw refused(`backup ${backup.id} does not say what its schema needs`, 'Upgrade pgsilo.');
  refuseDependent(schema, needs.needsSchemas);
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
      setup, request, context, admin, applicationName, names, schema, needs, archive, tool, fingerprint, swaps: false as const,
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
        `Restore schema ${showName(schema)} into it with ${tool.name} ${tool.version}`,
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
  if (request.replace)
    throw refused(
      'pgsilo cannot put a schema in the place of the live one yet',
      'Restore it into a database of its own (without --replace), and move it from there: pg_dump --schema … | psql.',
    );
  if (request.tables)
    throw refused(
      'pgsilo cannot restore single tables of a schema yet',
      'Restore the whole schema into a database of its own, and copy the tables from there.',
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
    'pgsilo cannot restore several schemas into one database yet. By hand: restore the archives of all of them into one database, the needed ones first.',
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
