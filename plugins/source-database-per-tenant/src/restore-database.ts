import { createReadStream } from 'node:fs';
import {
  PgsiloError,
  toPgsiloError,
  type Context,
  type Restoration,
  type RestoreOutcome,
  type RestoreRequest,
} from '@pgsilo/plugin';
import {
  describeServer,
  downgradeProblem,
  majorVersion,
  readToc,
  showName,
  type Fingerprint,
  type Session,
  throwProblems,
  type Problem,
  databaseExists,
  freeKeptName,
  openAdmin,
  targetNames,
  targetServer,
  type TargetNames,
  readRestorer,
  artifactOf,
  readFingerprint,
  readSettings,
  findPgRestore,
  fingerprintOfEntries,
  selectTables,
} from '@pgsilo/postgres';
import { emptyTableWarnings } from './excluded-data.ts';
import { examineLive } from './live-database.ts';
import { databaseOf } from './plan.ts';
import { examineConditions } from './restore-conditions.ts';
import { describePlan } from './restore-plan.ts';
import type { PreparedRestore } from './prepared-restore.ts';
import { runRestore } from './restore-run.ts';
import type { SourceSetup } from './setup.ts';

/** Prepares the restore of a database unit: everything that can stand in its way is found here, before the first write. */
export async function prepareDatabaseRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  refuseContradictions(request);
  const { backup } = request;
  const names = targetNames(request, databaseOf(backup.unit));
  refuseLongName(names.target);
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const admin = await openAdmin(
    targetServer(setup.settings, request),
    names,
    applicationName,
    context.signal,
  );
  try {
    const liveExists = await databaseExists(admin, names.live);
    // Told before a large backup is fetched.
    if (!request.replace && (await databaseExists(admin, names.target))) throw targetExists(names, admin);
    const restorer = await readRestorer(admin);
    const live =
      request.replace && liveExists ? await examineLive(admin, names.live, restorer.superuser) : undefined;
    throwProblems(live?.problems ?? []);

    // Also before it is fetched.
    const downgrade = downgradeProblem(majorVersion(backup.facts.server.version), admin.major);
    throwProblems(downgrade ? [downgrade] : []);

    const settings = await readSettings(backup);
    const fingerprint = await readFingerprint(backup);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'database.dump').spool(),
    );
    const toc = await readToc(createReadStream(archive));
    const selection = request.tables ? selectTables(toc.entries, request.tables) : undefined;
    const conditions = await examineConditions(admin, {
      request,
      toc,
      chosen: selection?.entries,
      settings,
      restorer,
    });
    const tool = await findPgRestore(
      setup,
      admin.major,
      majorVersion(toc.header.dumpVersion) ?? 0,
      context.signal,
    ).catch(asProblem);
    throwProblems([...conditions.problems, ...(isProblem(tool) ? [tool] : [])]);
    if (isProblem(tool)) throw new Error('unreachable');

    const prepared: PreparedRestore = {
      setup, request, context, admin, applicationName, settings, archive, tool, restorer,
      names: { ...names, kept: request.replace ? await freeKeptName(admin, request, names.live) : names.kept },
      swaps: request.replace && liveExists,
      conditions,
      fingerprint: fingerprint && fingerprintOfEntries(fingerprint, selection?.entries),
      warnings: [...conditions.warnings, ...(selection?.warnings ?? []), ...emptyTableWarnings(toc, selection?.entries ?? toc.entries), ...(live?.warnings ?? []), ...unproved(fingerprint)],
      entryCount: conditions.entries?.length ?? toc.entryCount,
      progress: { naming: false },
    }; // prettier-ignore
    return restoration(prepared);
  } catch (error) {
    await admin.close();
    throw error;
  }
}

function restoration(prepared: PreparedRestore): Restoration {
  return {
    plan: describePlan(prepared),
    ...(prepared.swaps ? { replaces: prepared.names.live } : {}),
    run: (): Promise<RestoreOutcome> => runRestore(prepared),
    close: () => prepared.admin.close(),
  };
}

function refuseContradictions(request: RestoreRequest): void {
  const refuse = (message: string, hint: string): never => {
    throw new PgsiloError('restore.refused', message, { hint });
  };
  if (request.replace && request.tables) {
    refuse(
      "--replace with --table would put a database of a few tables in the live one's place",
      'Restore the tables into a new database and copy what you need from there.',
    );
  }
  if (request.replace && request.to !== undefined) {
    refuse("--replace gives the restored database the live one's name, and --to another", 'Use one of them.');
  }
  if (request.dropOld && !request.replace)
    refuse(
      '--drop-old drops the database that --replace replaces',
      'Use it with --replace, or leave it out.',
    );
  if (request.tables?.length === 0)
    refuse('no table is named', 'Name tables as schema.table, or leave --table out.');
}

/** The server would cut it without a word, and the restore end up under another name. */
function refuseLongName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (bytes >= 1 && bytes <= 63) return;
  throw new PgsiloError(
    'usage.invalid',
    `the database name ${showName(name)} has ${bytes} bytes; PostgreSQL takes 1 to 63`,
  );
}

function targetExists(names: TargetNames, admin: Session): PgsiloError {
  return new PgsiloError(
    'restore.target-exists',
    `database ${showName(names.target)} is on ${describeServer(admin.settings)} already`,
    {
      hint:
        names.target === names.live
          ? 'Restore beside it (without --to), or --replace it.'
          : 'Choose another name with --to, or drop it when it is an earlier restore that is no longer needed.',
    },
  );
}

function asProblem(error: unknown): Problem {
  const known = toPgsiloError(error);
  if (!known.code.startsWith('source.tool')) throw known;
  return {
    code: known.code,
    message: known.message,
    ...(known.hint === undefined ? {} : { hint: known.hint }),
  };
}

function isProblem(value: object): value is Problem {
  return 'code' in value && 'message' in value;
}

function unproved(fingerprint: Fingerprint | undefined): readonly string[] {
  return fingerprint
    ? []
    : [
        'the backup has no fingerprint (fingerprint: none), so that the restored rows cannot be compared with anything',
      ];
}
