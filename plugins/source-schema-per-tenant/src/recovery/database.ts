import { createReadStream } from 'node:fs';
import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf, databaseExists, describeServer, refuseDowngrade, findPgRestore, isOfDatabase, localeProblem, longestIdentifier, majorVersion, openAdmin, readFingerprint,
  readRestorer, readSettings, readToc, showName, targetNames, targetServer, templateHasRules, throwProblems, type DatabaseSettings, type Problem, type Restorer,
  type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import type { SourceSetup } from '../setup.ts';
import { extensionProblems, lacksTablespaces, rolesProblems } from './conditions.ts';
import { runDatabase } from './database-run.ts';
import type { PreparedDatabase } from './prepared.ts';

/** Prepares to make the database, with what the unit `@database` has and needs no tenant for. */
export async function prepareDatabase(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  const { backup } = request;
  const names = targetNames(request, request.to!);
  if (Buffer.byteLength(names.target) > longestIdentifier)
    throw new PgsiloError(
      'usage.invalid',
      `the database name ${showName(names.target)} has more than ${longestIdentifier} bytes`,
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
      );
    refuseDowngrade(backup, admin.major);
    const settings = await readSettings(backup);
    const fingerprint = await readFingerprint(backup);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'database.dump').spool(),
    );
    const toc = await readToc(createReadStream(archive));
    const entries = toc.entries.filter((entry) => !isOfDatabase(entry));
    const restorer = await readRestorer(admin);
    throwProblems([
      ...(restorer.mayCreate ? [] : [mayNotCreate(restorer)]),
      ...(await rolesProblems(admin, entries, settings, request.owner)),
      ...(await extensionProblems(admin, entries)),
      ...(await localeProblems(admin, settings)),
    ]);
    const lacking = await lacksTablespaces(admin, entries);
    const own = await tablespaceOf(admin, settings);
    const tool = await findPgRestore(
      setup,
      admin.major,
      majorVersion(toc.header.dumpVersion) ?? 0,
      context.signal,
    );
    const prepared: PreparedDatabase = {
      setup, request, context, admin, applicationName, names, settings, restorer, archive, toc, tool, tablespaces: lacking.length === 0, tablespace: own.tablespace,
      fingerprint, warnings: [...lacking, ...own.warnings], swaps: false, progress: { naming: false },
    }; // prettier-ignore
    return {
      plan: [
        `Create database ${showName(names.target)} on ${describeServer(admin.settings)} with encoding ${settings.encoding} and locale ${settings.collate}, which only the role that restores connects to before all is there`,
      ],
      run: () => runDatabase(prepared),
      close: () => admin.close(),
    };
  } catch (error) {
    await admin.close();
    throw error;
  }
}

function mayNotCreate({ name }: Restorer): Problem {
  return {
    code: 'restore.denied',
    message: `role ${showName(name)} may not create databases`,
    hint: `ALTER ROLE ${showName(name)} CREATEDB, or restore as another role.`,
  };
}

async function localeProblems(admin: Session, settings: DatabaseSettings): Promise<readonly Problem[]> {
  const message = localeProblem(settings, admin.major, await templateHasRules(admin));
  return message === undefined
    ? []
    : [{ code: 'restore.refused', message, hint: 'Restore into another server.' }];
}

async function tablespaceOf(
  admin: Session,
  { tablespace }: DatabaseSettings,
): Promise<{ readonly tablespace: string | undefined; readonly warnings: readonly string[] }> {
  if (tablespace === 'pg_default') return { tablespace: undefined, warnings: [] };
  const rows = await admin.query('SELECT FROM pg_tablespace WHERE spcname = $1', [tablespace]);
  if (rows.length > 0) return { tablespace, warnings: [] };
  const warning = `the server lacks tablespace ${showName(tablespace)} of the database: it goes into the server's default one`;
  return { tablespace: undefined, warnings: [warning] };
}
