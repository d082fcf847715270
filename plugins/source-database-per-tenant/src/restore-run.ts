import {
  PgsiloError,
  throwIfAborted,
  toPgsiloError,
  type Context,
  type RestoreOutcome,
  type RestoreRequest,
} from '@pgsilo/plugin';
import {
  applySettingsStatements, compareFingerprint, createDatabaseStatement, describeServer, openSession, quoteIdentifier, showName, terminateSessions,
  type DatabaseSettings, type Fingerprint, type Session, type Tool,
} from '@pgsilo/postgres'; // prettier-ignore
import { runPgRestore } from './pg-restore.ts';
import type { Conditions } from './restore-conditions.ts';
import { listed } from './restore-problems.ts';
import type { Restorer } from './restore-privileges.ts';
import {
  claimWorkingName,
  databaseExists,
  dropDatabase,
  markWorking,
  openAdmin,
  sweepLeftovers,
  type TargetNames,
} from './restore-target.ts';
import type { SourceSetup } from './setup.ts';
import { examineLive, renameDatabase, swapDatabases } from './swap.ts';

/** A restore of a database that was found possible. */
export interface PreparedRestore {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly context: Context;
  /** A session outside all databases that the restore touches; holds the lock of the working database. */
  readonly admin: Session;
  /** Of all sessions of this restore. */
  readonly applicationName: string;
  readonly names: TargetNames;
  /** Whether there is a live database to swap with. */
  readonly swaps: boolean;
  readonly settings: DatabaseSettings;
  readonly fingerprint: Fingerprint | undefined;
  /** Path of the whole archive. */
  readonly archive: string;
  readonly tool: Tool;
  readonly restorer: Restorer;
  readonly conditions: Conditions;
  readonly warnings: readonly string[];
  readonly entryCount: number;
  readonly progress: {
    /** Set before the working database is renamed. */
    naming: boolean;
  };
}

/** Restores into a working database, proves it, and only then gives it its name. What fails is dropped again; nothing else is ever touched. */
export async function runRestore(prepared: PreparedRestore): Promise<RestoreOutcome> {
  const { admin, context, request } = prepared;
  await sweepLeftovers(admin, context);
  const working = await claimWorkingName(admin);
  const warnings = [...prepared.warnings];
  try {
    await request.step('create the database', () => createWorking(prepared, working));
    await request.step('restore the data', () => restoreInto(prepared, working));
    const compared = await request.step('compare with the fingerprint', () =>
      compareWorking(prepared, working),
    );
    await request.step('analyze', () => analyze(prepared, working));
    warnings.push(
      ...(await request.step('apply settings and grants', () => applySettings(prepared, working))),
    );
    throwIfAborted(context.signal);
    prepared.progress.naming = true;
    if (prepared.swaps) await request.step('swap with the live database', () => swapIn(prepared, working));
    else await request.step('give it its name', () => nameIt(prepared, working));
    return await finish(prepared, compared, warnings);
  } catch (error) {
    throw await undo(prepared, working, error);
  }
}

async function createWorking(prepared: PreparedRestore, working: string): Promise<void> {
  const { admin, request, settings, restorer } = prepared;
  // Who is no superuser works under the final owner from the start: its rights in the schema public hang on that.
  const owner = request.owner && !restorer.superuser ? settings.owner : undefined;
  await admin.query(
    createDatabaseStatement(settings, working, {
      major: admin.major,
      owner,
      tablespace: prepared.conditions.tablespace,
    }),
  );
  await admin.query(`REVOKE ALL ON DATABASE ${quoteIdentifier(working)} FROM PUBLIC`);
  await markWorking(admin, working, request);
}

async function restoreInto(prepared: PreparedRestore, working: string): Promise<void> {
  const { setup, request, admin, applicationName, archive, tool, conditions, context } = prepared;
  const job = {
    setup, tool, server: admin.settings, elsewhere: request.toServer !== undefined, database: working, applicationName, archive, entries: conditions.entries,
    owner: request.owner, tablespaces: conditions.tablespaces, jobs: Math.max(1, request.jobs),
  }; // prettier-ignore
  await runPgRestore(job, context);
}

async function compareWorking(prepared: PreparedRestore, working: string): Promise<string> {
  if (!prepared.fingerprint) return 'nothing, because the backup has no fingerprint';
  return inWorking(prepared, working, 'compare the restored database', async (session) => {
    const { compared, differences } = await compareFingerprint(
      session,
      prepared.fingerprint!,
      prepared.context,
    );
    if (differences.length === 0) return compared;
    throw new PgsiloError(
      'restore.mismatch',
      `what was restored is not what the backup's fingerprint says:\n${differences.map((each) => `- ${each}`).join('\n')}`,
      {
        hint: 'Try another backup (--before) or sink (--from), and pgsilo verify --level decode.',
      },
    );
  });
}

async function analyze(prepared: PreparedRestore, working: string): Promise<void> {
  await inWorking(prepared, working, 'analyze the restored database', (session) => session.query('ANALYZE'));
}

async function inWorking<T>(
  prepared: PreparedRestore,
  database: string,
  purpose: string,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { admin, applicationName, context } = prepared;
  const session = await openSession(admin.settings, {
    database,
    applicationName,
    purpose,
    signal: context.signal,
  });
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/** In one transaction. A parameter that the role may not set is left out and reported; owner and grants are not negotiable. */
async function applySettings(prepared: PreparedRestore, working: string): Promise<readonly string[]> {
  const { admin, request, settings } = prepared;
  const refused: string[] = [];
  await admin.query('BEGIN');
  try {
    for (const { sql, about } of applySettingsStatements(settings, working, { owner: request.owner })) {
      const optional = about.startsWith('parameter ') || about.startsWith('security label ');
      if (!optional) await admin.query(sql);
      else if (!(await attempt(admin, sql))) refused.push(about);
    }
    await admin.query('COMMIT');
  } catch (error) {
    await admin.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
  return refused.length === 0
    ? []
    : [`the server refused settings of the database, set them by hand: ${listed(refused)}`];
}

async function attempt(admin: Session, sql: string): Promise<boolean> {
  await admin.query('SAVEPOINT setting');
  try {
    await admin.query(sql);
    await admin.query('RELEASE SAVEPOINT setting');
    return true;
  } catch (error) {
    if (toPgsiloError(error).code === 'source.unreachable' || toPgsiloError(error).code === 'aborted')
      throw error;
    await admin.query('ROLLBACK TO SAVEPOINT setting');
    return false;
  }
}

async function swapIn(prepared: PreparedRestore, working: string): Promise<void> {
  const { admin, names, context, restorer } = prepared;
  // Hours may have gone by since it was looked at.
  const { problems } = await examineLive(admin, names.live, restorer.superuser);
  const problem = problems[0];
  if (problem)
    throw new PgsiloError(
      problem.code,
      problem.message,
      problem.hint === undefined ? {} : { hint: problem.hint },
    );
  await swapDatabases(admin, { working, live: names.live, kept: names.kept }, context);
}

async function nameIt(prepared: PreparedRestore, working: string): Promise<void> {
  const { admin, names } = prepared;
  if (await databaseExists(admin, names.target)) {
    throw new PgsiloError(
      'restore.target-exists',
      `database ${showName(names.target)} was made by somebody else meanwhile`,
      {
        hint: 'Restore again with another name: --to.',
      },
    );
  }
  await renameDatabase(admin, working, names.target);
}

async function finish(
  prepared: PreparedRestore,
  compared: string,
  warnings: string[],
): Promise<RestoreOutcome> {
  const { request, names, admin } = prepared;
  const target = names.target;
  if (!prepared.swaps) {
    const next = request.replace
      ? ['The application can connect to it again.']
      : [
          `Look into it: psql ${shown(target)}`,
          `Remove it when it is no longer needed: DROP DATABASE ${quoteIdentifier(target)};`,
        ];
    return { target, compared, warnings, next };
  }
  if (request.dropOld) {
    try {
      await request.step('drop the replaced database', () => dropDatabase(admin, names.kept));
      return {
        target,
        compared,
        warnings,
        next: ['Applications that were connected reconnect by themselves or need a restart.'],
      };
    } catch (error) {
      warnings.push(
        `the replaced database could not be dropped and is kept as ${showName(names.kept)}: ${toPgsiloError(error).message}`,
      );
    }
  }
  return {
    target,
    compared,
    kept: names.kept,
    warnings,
    next: [
      'Applications that were connected reconnect by themselves or need a restart.',
      `The replaced database is kept as ${showName(names.kept)}; when nobody misses it: DROP DATABASE ${quoteIdentifier(names.kept)};`,
    ],
  };
}

function shown(name: string): string {
  return /^[A-Za-z0-9_]+$/.test(name) ? name : `with the database ${quoteIdentifier(name)}`;
}

/** How long ending sessions and dropping the working database may take, in milliseconds. */
const undoTimeout = 60_000;

/** Removes what this restore made, also after an abort, and says so in the error. */
async function undo(prepared: PreparedRestore, working: string, error: unknown): Promise<PgsiloError> {
  const failure = asRestoreError(error);
  const note = await removeWorking(prepared, working).catch((cleanupError: unknown) => {
    prepared.context.log.warn('could not remove the unfinished copy', {
      database: working,
      error: toPgsiloError(cleanupError).message,
    });
    return `The unfinished copy may still be on ${describeServer(prepared.admin.settings)} as ${working}; the next restore removes it.`;
  });
  return new PgsiloError(
    failure.code,
    `${failure.message}${failure.message.endsWith('.') ? '' : '.'} ${note}`,
    {
      cause: error,
      ...(failure.hint === undefined ? {} : { hint: failure.hint }),
    },
  );
}

async function removeWorking(prepared: PreparedRestore, working: string): Promise<string> {
  const { names, applicationName, swaps } = prepared;
  const admin = await openAdmin(
    prepared.admin.settings,
    names,
    'pgsilo cleanup',
    AbortSignal.timeout(undoTimeout),
  );
  try {
    await terminateSessions(admin.settings, applicationName, undoTimeout).catch(() => 0);
    // A connection that broke during COMMIT: the server has renamed it, and only we were not told.
    if (
      prepared.progress.naming &&
      !(await databaseExists(admin, working)) &&
      (await databaseExists(admin, swaps ? names.kept : names.target))
    ) {
      return `All of it had been done by then: ${showName(names.target)} is the restored database${swaps ? `, ${showName(names.kept)} the replaced one` : ''}.`;
    }
    await dropDatabase(admin, working);
    return 'Nothing of it was left behind, and nothing else was changed.';
  } finally {
    await admin.close();
  }
}

/** Errors of the server and of pg_restore speak of reading; here they are a restore's. */
function asRestoreError(error: unknown): PgsiloError {
  const known = toPgsiloError(error, 'restore.failed');
  if (known.code === 'source.denied') return rename(known, 'restore.denied');
  if (known.code.startsWith('source.') && known.code !== 'source.archive-invalid')
    return rename(known, 'restore.failed');
  return known;
}

function rename(error: PgsiloError, code: 'restore.denied' | 'restore.failed'): PgsiloError {
  return new PgsiloError(code, error.message, { cause: error });
}
