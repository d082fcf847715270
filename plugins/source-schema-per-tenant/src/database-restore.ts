import { createReadStream } from 'node:fs';
import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf, describeFingerprint, describeServer, refuseDowngrade, findPgRestore, fingerprintOfEntries, listed, majorVersion, missingRoles, openAdmin, plural,
  readFingerprint, readRestorer, readSettings, readToc, rolesNamed, rolesNeeded, showName, showRoles, targetNames, targetServer, throwProblems,
  type Problem, type Session, type Toc, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import { runDatabaseRestore } from './database-restore-run.ts';
import { extensionProblems } from './recovery/conditions.ts';
import { refuseExisting, refuseLongDatabaseName } from './new-database.ts';
import type { ArchivePart } from './restore-sections.ts';
import { fetchRowArchives } from './row-archives.ts';
import { countOf, fetchLargeObjects } from './restored-large-objects.ts';
import type { SourceSetup } from './setup.ts';

/** Prepares the restore of what belongs to no tenant into a new database, which the tenants can then be put into. */
export async function prepareDatabaseRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  refuseOthers(request);
  const { backup, owner } = request;
  const settings = await readSettings(backup);
  const names = targetNames(request, settings.name);
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
    const { toc, archives } = await request.step('fetch the backup and check its hashes', () =>
      fetchArchives(request),
    );
    const largeObjects = await fetchLargeObjects(request);
    const { parts, out } = withoutTenants(archives);
    const all = [...parts, ...largeObjects.map(({ toc: { entries } }) => ({ entries }))].flatMap(
      ({ entries }) => entries,
    );
    throwProblems([
      ...(await extensionProblems(admin, all)),
      ...(await missingRolesOf(admin, owner ? rolesNeeded(all, settings) : new Set(all.flatMap(rolesNamed)))),
    ]);
    const fingerprint = await readFingerprint(backup);
    const tool = await findPgRestore(
      setup,
      admin.major,
      majorVersion(toc.header.dumpVersion) ?? 0,
      context.signal,
    );
    const prepared = {
      setup, request, context, admin, applicationName, names, settings, parts, largeObjects, tool, restorer: await readRestorer(admin), swaps: false as const,
      fingerprint: fingerprint && fingerprintOfEntries(fingerprint, all),
      warnings: leftOut(out),
      progress: { naming: false },
    }; // prettier-ignore
    return {
      plan: [
        `Create a database on ${describeServer(admin.settings)} with encoding ${settings.encoding} and locale ${settings.collate}, which only this restore connects to`,
        `Restore into it what belongs to no tenant, with ${tool.name} ${tool.version}: definitions, rows, then what is built upon rows`,
        ...(largeObjects.length > 0
          ? [`Bring back ${plural(countOf(largeObjects), 'large object')}, under the numbers that they had`]
          : []),
        ...prepared.warnings,
        prepared.fingerprint
          ? `Compare it with the fingerprint of the backup: ${describeFingerprint(prepared.fingerprint)}`
          : 'Compare nothing: the backup has no fingerprint',
        'Run ANALYZE',
        owner
          ? `Give it the settings, the grants and the owner (${showName(settings.owner)}) that the database had`
          : 'Give it the settings that the database had, but neither owner nor grants',
        `Name it ${showName(names.target)}`,
      ],
      run: () => runDatabaseRestore(prepared),
      close: () => admin.close(),
    };
  } catch (error) {
    await admin.close();
    throw error;
  }
}

function refuseOthers({ replace, dropOld, into, toSchema, tables, rows }: RestoreRequest): void {
  if (!replace && !dropOld && (into ?? toSchema) === undefined && !tables && !rows) return;
  throw new PgsiloError(
    'restore.refused',
    'what belongs to no tenant is restored into a new database, and nowhere else: the live one has the tenants',
    {
      hint: 'Leave out --replace, --into, --to-schema, --table and --rows; name the new database with --to. Take from it what is missing.',
    },
  );
}

async function fetchArchives({
  backup,
}: RestoreRequest): Promise<{ readonly toc: Toc; readonly archives: readonly ArchivePart[] }> {
  const archive = await artifactOf(backup, 'database.dump').spool();
  const toc = await readToc(createReadStream(archive));
  const archives: ArchivePart[] = [{ archive, entries: toc.entries }];
  archives.push(...(await fetchRowArchives(backup)));
  return { toc, archives };
}

/** What needs a tenant's objects cannot be made without them: pg_dump has given each entry a number of its own, whichever archive it is in now, and puts what is needed first. */
export function withoutTenants(archives: readonly ArchivePart[]): {
  readonly parts: readonly ArchivePart[];
  readonly out: readonly TocEntry[];
} {
  const there = new Set(archives.flatMap(({ entries }) => entries.map(({ dumpId }) => dumpId)));
  const out: TocEntry[] = [];
  const parts = archives.map(({ archive, entries }) => ({
    archive,
    entries: entries.filter((entry) => {
      if (entry.dependencies.every((id) => there.has(id))) return true;
      there.delete(entry.dumpId);
      out.push(entry);
      return false;
    }),
  }));
  return { parts, out };
}

const said = new Set(['ACL', 'COMMENT', 'SECURITY LABEL', 'TABLE DATA']);

function leftOut(out: readonly TocEntry[]): readonly string[] {
  const named = out.filter(({ desc }) => !said.has(desc)).map(({ desc, tag }) => `${desc} ${showName(tag)}`);
  if (named.length === 0) return [];
  return [`what needs schemas of tenants is left out, because they are not there: ${listed(named)}`];
}

async function missingRolesOf(admin: Session, roles: ReadonlySet<string>): Promise<readonly Problem[]> {
  const missing = await missingRoles(admin, roles);
  if (missing.length === 0) return [];
  return [
    {
      code: 'restore.roles-missing',
      message: `the server lacks roles that the backup needs: ${listed(showRoles(missing))}`,
      hint: 'Create them first (CREATE ROLE … NOLOGIN), or go without owners and grants: --no-owner.',
    },
  ];
}
