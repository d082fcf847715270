import { PgsiloError, throwIfAborted, type RestoreOutcome } from '@pgsilo/plugin';
import {
  applySettings,
  applySettingsStatements,
  undo,
  compareFingerprint,
  createClosed,
  inWorking,
  requireEqual,
  showName,
  type Session,
  renameDatabases,
  throwProblems,
  databaseExists,
  claimWorkingName,
  markWorking,
  sweepLeftovers,
  runPgRestore,
} from '@pgsilo/postgres';
import { examineLive } from './live-database.ts';
import type { PreparedRestore } from './prepared-restore.ts';
import { finish } from './restore-outcome.ts';

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
      ...(await request.step('apply settings and grants', () =>
        applySettings(admin, applySettingsStatements(prepared.settings, working, { owner: request.owner })),
      )),
    );
    throwIfAborted(context.signal);
    prepared.progress.naming = true;
    if (prepared.swaps) await swapIn(prepared, working);
    else await request.step('give it its name', () => nameIt(prepared, working));
    return await finish(prepared, compared, warnings);
  } catch (error) {
    throw await undo(prepared, working, error);
  }
}

/** Makes the working database. */
export async function createWorking(prepared: PreparedRestore, working: string): Promise<void> {
  const { admin, request, settings, restorer, conditions } = prepared;
  const { tablespace, templateRules } = conditions;
  await createClosed(admin, working, settings, { request, restorer, tablespace, templateRules });
  await markWorking(admin, working, request);
}

/** Restores the archive, or the entries of it that were chosen. */
export async function restoreInto(prepared: PreparedRestore, working: string): Promise<void> {
  const { setup, request, admin, applicationName, archive, tool, conditions, context } = prepared;
  const job = {
    setup, tool, server: admin.settings, serverMajor: admin.major, elsewhere: request.toServer !== undefined, database: working, applicationName, archive, entries: conditions.entries,
    owner: request.owner, tablespaces: conditions.tablespaces, jobs: request.jobs,
  }; // prettier-ignore
  await runPgRestore(job, context);
}

async function compareWorking(prepared: PreparedRestore, working: string): Promise<string> {
  return inWorking(prepared, working, 'compare the restored database', (session) =>
    compareCopy(prepared, session),
  );
}

/** Compares it with the fingerprint, if there is one. Throws `restore.mismatch`. */
export function compareCopy(
  { fingerprint, context }: Pick<PreparedRestore, 'fingerprint' | 'context'>,
  session: Session,
): Promise<string> {
  return requireEqual(fingerprint, (wanted) => compareFingerprint(session, wanted, context));
}

async function analyze(prepared: PreparedRestore, working: string): Promise<void> {
  await inWorking(prepared, working, 'analyze the restored database', (session) => session.query('ANALYZE'));
}

async function swapIn(prepared: PreparedRestore, working: string): Promise<void> {
  const { admin, names, request, context, restorer } = prepared;
  const swap = [
    { from: names.live, to: names.kept },
    { from: working, to: names.live },
  ];
  await request.swap(names.live, () =>
    request.step('swap with the live database', async () => {
      // Hours may have gone by since it was looked at.
      throwProblems((await examineLive(admin, names.live, restorer.superuser)).problems);
      await renameDatabases(admin, swap, context);
    }),
  );
}

async function nameIt(prepared: PreparedRestore, working: string): Promise<void> {
  const { admin, names, context } = prepared;
  if (await databaseExists(admin, names.target)) {
    throw new PgsiloError(
      'restore.target-exists',
      `database ${showName(names.target)} was made by somebody else meanwhile`,
      {
        hint: 'Restore again with another name: --to.',
      },
    );
  }
  await renameDatabases(admin, [{ from: working, to: names.target }], context);
}
