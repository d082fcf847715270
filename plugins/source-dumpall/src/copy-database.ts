import { PgsiloError, throwIfAborted, type RestoreRequest } from '@pgsilo/plugin';
import {
  applySettings,
  claimWorkingName,
  compareFingerprint,
  createDatabaseStatement,
  databaseExists,
  listed,
  markWorking,
  openSession,
  quoteIdentifier,
  quoteLiteral,
  renameDatabases,
  showName,
  undo,
  type TargetNames,
} from '@pgsilo/postgres';
import type { DumpedDatabase } from './contents.ts';
import { DatabaseBody } from './database-body.ts';
import type { DumpTarget } from './dump-target.ts';
import { runPsql } from './psql.ts';

export interface Copied {
  /** What was compared: `14 tables, 2,310,442 rows, 3 sequences`. */
  readonly compared: string;
  readonly warnings: readonly string[];
}

type Step = RestoreRequest['step'];

/** Restores a database of the dump into a new one, proves it, and only then gives it its name. What fails is dropped again; nothing else is ever touched. */
export async function copyDatabase(
  target: DumpTarget,
  database: DumpedDatabase,
  names: TargetNames,
  step: Step,
): Promise<Copied> {
  const { admin, applicationName, context, request } = target;
  const working = await claimWorkingName(admin);
  const progress = { naming: false };
  try {
    await step('create the database', () => createWorking(target, database, working));
    const body = await fill(target, database, working, step);
    const refused = await step('apply settings and grants', () =>
      applySettings(admin, body.settings(working)),
    );
    throwIfAborted(context.signal);
    progress.naming = true;
    await step('give it its name', () => nameIt(target, working, names.target));
    await admin.query('SELECT pg_advisory_unlock_all()');
    return {
      compared: body.compared,
      warnings: [...body.warnings, ...refused, ...warningsOf(target, database, request)],
    };
  } catch (error) {
    const unfinished = { admin, context, applicationName, names, swaps: false, progress };
    throw await undo(unfinished, working, withRolesHint(error));
  }
}

/** Runs the part of a database in another one, and proves that what it holds came. */
export async function fill(
  target: DumpTarget,
  database: DumpedDatabase,
  into: string,
  step: Step,
): Promise<Copied & Pick<DatabaseBody, 'settings'>> {
  const { setup, tool, admin, applicationName, context, request, tablespaces } = target;
  const body = new DatabaseBody(database, { owner: request.owner, tablespaces });
  const elsewhere = request.toServer !== undefined;
  const job = { setup, tool, server: admin.settings, elsewhere, database: into, applicationName };
  await step('restore the data', () => runPsql(job, body.read(target.file), context));
  const session = await openSession(admin.settings, {
    database: into,
    applicationName,
    purpose: 'compare the restored database',
    signal: context.signal,
  });
  try {
    const { compared, differences } = await step('compare with the dump', () =>
      compareFingerprint(session, body.fingerprint, context),
    );
    if (differences.length > 0)
      throw new PgsiloError(
        'restore.mismatch',
        `what was restored is not what the dump holds:\n${differences.map((each) => `- ${each}`).join('\n')}`,
        { hint: 'Try another backup (--before) or sink (--from).' },
      );
    await step('analyze', () => session.query('ANALYZE'));
    const missing = body.missingTablespaces.map(showName);
    const warnings =
      missing.length === 0
        ? []
        : [
            `the server lacks tablespaces (${listed(missing)}): their tables went into the default one of the database`,
          ];
    return { compared, warnings, settings: (name) => body.settings(name) };
  } finally {
    await session.close();
  }
}

async function createWorking(target: DumpTarget, database: DumpedDatabase, working: string): Promise<void> {
  const { admin, request, tablespaces, templateRules } = target;
  const { creation, encoding } = database;
  const tablespace = creation?.tablespace;
  await admin.query(
    creation
      ? createDatabaseStatement(creation.locale, working, {
          major: admin.major,
          tablespace: tablespace !== undefined && tablespaces.has(tablespace) ? tablespace : undefined,
          templateRules,
        })
      : `CREATE DATABASE ${quoteIdentifier(working)} WITH TEMPLATE = template0 ENCODING = ${quoteLiteral(encoding)}`,
  );
  await admin.query(`REVOKE ALL ON DATABASE ${quoteIdentifier(working)} FROM PUBLIC`);
  await markWorking(admin, working, request);
}

async function nameIt({ admin, context }: DumpTarget, working: string, name: string): Promise<void> {
  if (await databaseExists(admin, name)) {
    throw new PgsiloError(
      'restore.target-exists',
      `database ${showName(name)} was made by somebody else meanwhile`,
      { hint: 'Restore again with another name: --to.' },
    );
  }
  await renameDatabases(admin, [{ from: working, to: name }], context);
}

function warningsOf(
  { tablespaces }: DumpTarget,
  { name, creation }: DumpedDatabase,
  request: RestoreRequest,
): readonly string[] {
  const warnings: string[] = [];
  const tablespace = creation?.tablespace;
  if (tablespace !== undefined && !tablespaces.has(tablespace))
    warnings.push(
      `the server lacks tablespace ${showName(tablespace)} of database ${showName(name)}: it went into the default one`,
    );
  if (!creation)
    warnings.push(
      `pg_dumpall does not say which locale ${showName(name)} had: the copy has that of the server`,
    );
  if (!request.owner) warnings.push(`database ${showName(name)} was restored without owners and grants`);
  return warnings;
}

/** The commonest reason why SQL fails on another server. */
function withRolesHint(error: unknown): unknown {
  if (!(error instanceof Error) || !/role "(?:[^"]|"")*" does not exist/.test(error.message)) return error;
  return new PgsiloError('restore.roles-missing', error.message, {
    cause: error,
    hint: 'Bring the roles back first, with --roles-only, or go without owners and grants: --no-owner.',
  });
}
