import {
  PgsiloError,
  throwIfAborted,
  toPgsiloError,
  type RestoreOutcome,
  type RowsRestored,
} from '@pgsilo/plugin';
import {
  claimWorkingName, countRows, dropWorking, moveRows, openSession, planRows, quoteIdentifier, showName, sweepLeftovers, transactionOutcome, undo,
  type RowsPlan, type Session,
} from '@pgsilo/postgres'; // prettier-ignore
import { compare, createWorking, restoreInto } from './restore-run.ts';
import type { PreparedRowsRestore } from './rows-restore.ts';

/** Makes the scratch copy, puts the chosen rows into the live tables in one transaction, and drops the copy, however it ends. */
export async function runRowsRestore(prepared: PreparedRowsRestore): Promise<RestoreOutcome> {
  const { copy: making, session } = prepared;
  const { admin, context, request, schema } = making;
  await sweepLeftovers(admin, context);
  const working = await claimWorkingName(admin);
  let copy: Session | undefined;
  try {
    await request.step('create a scratch database', () => createWorking(making, working));
    await request.step('restore the data', () => restoreInto(making, working));
    const opened = await openSession(admin.settings, {
      database: working,
      applicationName: making.applicationName,
      purpose: 'read the restored rows',
      signal: context.signal,
    });
    copy = opened;
    const compared = await request.step('compare with the fingerprint', () => compare(making, opened));
    const { plans, found } = await request.step('choose the rows', () => choose(prepared, opened));
    const warnings = plans.flatMap((plan) => plan.warnings);
    const rows = await request.step('put the rows in', () => putIn(prepared, opened, plans));
    await opened.close();
    await session.close();
    await dropWorking(admin, working).catch((error: unknown) =>
      warnings.push(
        `the scratch database ${working} could not be dropped, the next restore removes it: ${toPgsiloError(error).message}`,
      ),
    );
    return {
      target: schema,
      compared,
      rows,
      warnings,
      next:
        found === 0
          ? ['The backup has no such row: nothing was changed.']
          : [`Look at them in schema ${showName(schema)}.`],
    };
  } catch (error) {
    await copy?.close();
    throw await undo(making, working, error);
  }
}

/** What can be moved, and whether the conditions can be understood, before the live tables are touched. */
async function choose(
  { session, tables, onConflict }: PreparedRowsRestore,
  copy: Session,
): Promise<{ readonly plans: readonly RowsPlan[]; readonly found: number }> {
  const plans: RowsPlan[] = [];
  let found = 0;
  for (const table of tables) {
    plans.push(await planRows(copy, session, table, onConflict));
    found += await countRows(copy, table);
  }
  return { plans, found };
}

async function putIn(
  { copy: making, session, onConflict }: PreparedRowsRestore,
  copy: Session,
  plans: readonly RowsPlan[],
): Promise<readonly RowsRestored[]> {
  const { context, schema, setup } = making;
  const rows: RowsRestored[] = [];
  await session.query('BEGIN');
  try {
    await session.query(`SET LOCAL lock_timeout = ${Math.ceil(setup.options.lockTimeout)}`);
    // What triggers of the tenant do finds its tables as it does for the application.
    await session.query(`SET LOCAL search_path = ${quoteIdentifier(schema)}, public`);
    for (const plan of plans)
      rows.push({ table: plan.table.name, ...(await moveRows(copy, session, plan, onConflict, context)) });
    throwIfAborted(context.signal);
  } catch (error) {
    await session.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
  const [row] = await session.query<{ id: string }>('SELECT pg_catalog.pg_current_xact_id()::text AS id');
  try {
    await session.query('COMMIT');
  } catch (error) {
    // A deferred constraint speaks here; a connection that broke does not say what became of it.
    const outcome = await transactionOutcome(session, row!.id).catch(() => 'unknown');
    if (outcome === 'committed') return rows;
    if (outcome === 'aborted') throw error;
    throw new PgsiloError(
      'restore.failed',
      `whether the rows are in schema ${showName(schema)} is not known: ${toPgsiloError(error).message}`,
      {
        cause: error,
        hint: 'Look for them there before you restore again.',
      },
    );
  }
  return rows;
}
