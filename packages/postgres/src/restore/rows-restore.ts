import {
  PgsiloError,
  throwIfAborted,
  toPgsiloError,
  type Context,
  type Restoration,
  type RestoreOutcome,
  type RestoreRequest,
  type RowConflict,
  type RowsRestored,
} from '@pgsilo/plugin';
import type { TocEntry } from '../archive/index.ts';
import { describeServer } from '../connection.ts';
import { quoteIdentifier, showName } from '../quoting.ts';
import { openSession, type Session } from '../session.ts';
import { listed } from './problems.ts';
import { countRows, moveRows, ownRowsOf, planRows, type RowsPlan, type RowsTable } from './rows.ts';
import { transactionOutcome } from './transaction-outcome.ts';
import { undo, type UnfinishedRestore } from './undo.ts';
import { claimWorkingName, dropWorking, sweepLeftovers } from './working-database.ts';

/** How the scratch copy that rows are taken from is made: the source's part. */
export interface ScratchCopy extends UnfinishedRestore {
  readonly context: Context;
  /** Makes the database, with what the archive needs of it. */
  readonly create: (working: string) => Promise<void>;
  readonly restore: (working: string) => Promise<void>;
  /** Throws `restore.mismatch` where it is not what the backup's fingerprint says; says what was compared. */
  readonly compare: (session: Session) => Promise<string>;
}

/** Rows to be brought back into live tables, found possible. */
export interface RowsRestore {
  readonly request: RestoreRequest;
  readonly copy: ScratchCopy;
  /** What the copy is made of, for the plan: `schema acme`. */
  readonly what: string;
  /** In the database of the live tables. */
  readonly session: Session;
  /** Name of what the tables are in, as it stands in the report: the schema's or the database's. */
  readonly live: string;
  /** The same for sentences: `schema acme in database app`. */
  readonly place: string;
  readonly tables: readonly RowsTable[];
  /** What a table is called in plan and report: without its schema where that is the unit. */
  readonly show: (table: RowsTable) => string;
  readonly onConflict: RowConflict;
  /** How long to wait for a lock, in milliseconds. */
  readonly lockTimeout: number;
  /** Whether the backup has large objects, which do not come with rows. */
  readonly largeObjects: boolean;
}

/** Throws where another thing is asked for with rows. */
export function refuseOthersWithRows({
  replace,
  dropOld,
  to,
  into,
  toSchema,
  tables,
  rows,
}: RestoreRequest): void {
  if (!replace && !dropOld && (to ?? into ?? toSchema) === undefined && !tables && rows!.length > 0) return;
  throw new PgsiloError('restore.refused', 'rows are put into the live tables, and nowhere else', {
    hint: 'Leave out --replace, --to, --into, --to-schema and --table without --data-only.',
  });
}

/** Throws `restore.no-match` for tables that the archive does not have. */
export function refuseAbsentTables(
  entries: readonly TocEntry[],
  tables: readonly RowsTable[],
  show: (table: { readonly schema: string; readonly name: string }) => string,
): void {
  const there = entries
    .filter(({ desc, namespace }) => desc === 'TABLE' && namespace !== undefined)
    .map(({ namespace, tag }) => ({ schema: namespace!, name: tag }));
  const absent = tables.filter(
    (table) => !there.some(({ schema, name }) => schema === table.schema && name === table.name),
  );
  if (absent.length === 0) return;
  throw new PgsiloError('restore.no-match', `the backup has no table ${listed(absent.map(show))}`, {
    hint: `It has: ${listed(there.map(show).sort())}`,
  });
}

/** Who wants all rows of a table and says nothing of those that are there means an empty one. */
export async function refuseFilledTables(
  session: Session,
  { onConflict }: RestoreRequest,
  tables: readonly RowsTable[],
): Promise<void> {
  if (onConflict !== undefined) return;
  for (const { schema, name, where } of tables) {
    if (where !== undefined) continue;
    const relation = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
    const [row] = await session.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      relation,
    ]);
    if (!row!.there) continue;
    const [found] = await session.query<{ some: boolean }>(
      `SELECT EXISTS (SELECT FROM ${await ownRowsOf(session, { schema, name })}) AS some`,
    );
    if (found!.some)
      throw new PgsiloError(
        'restore.target-not-empty',
        `table ${showName(name)} of schema ${showName(schema)} holds rows`,
        { hint: 'Say what becomes of those that are there already: --on-conflict skip, replace or fail.' },
      );
  }
}

/** The plan, and what does it. */
export function rowsRestoration(restore: RowsRestore): Restoration {
  const { copy, session, what, place, tables, show, onConflict, live } = restore;
  return {
    plan: [
      `Restore ${what} without its indexes and foreign keys into a scratch database on ${describeServer(copy.admin.settings)}, compare it with the fingerprint of the backup, and drop it in the end`,
      ...tables.map(
        (table) =>
          `Take ${table.where === undefined ? 'all rows' : `the rows where ${table.where}`} of table ${show(table)} out of it`,
      ),
      `In one transaction, put them into the live tables of ${place}, as an INSERT would: triggers run, keys must hold`,
      {
        fail: 'A row that is there already ends it, and nothing is changed',
        skip: 'A row that is there already stays as it is',
        replace: 'A row that is there already, by its primary key, is made what it was',
      }[onConflict],
      ...withoutLargeObjects(restore),
    ],
    ...(onConflict === 'replace' ? { replaces: live } : {}),
    run: () => runRowsRestore(restore),
    close: async () => {
      await Promise.all([session.close(), copy.admin.close()]);
    },
  };
}

/** What a person should know, before and after. */
function withoutLargeObjects({ largeObjects }: RowsRestore): readonly string[] {
  if (!largeObjects) return [];
  return [
    'large objects are not brought back with rows: numbers of them in these rows mean what is there now',
  ];
}

/** Makes the scratch copy, puts the chosen rows into the live tables in one transaction, and drops the copy, however it ends. */
async function runRowsRestore(prepared: RowsRestore): Promise<RestoreOutcome> {
  const { copy: making, session, request, live, place } = prepared;
  const { admin, context } = making;
  await sweepLeftovers(admin, context);
  const working = await claimWorkingName(admin);
  let copy: Session | undefined;
  try {
    await request.step('create a scratch database', () => making.create(working));
    await request.step('restore the data', () => making.restore(working));
    const opened = await openSession(admin.settings, {
      database: working,
      applicationName: making.applicationName,
      purpose: 'read the restored rows',
      signal: context.signal,
    });
    copy = opened;
    const compared = await request.step('compare with the fingerprint', () => making.compare(opened));
    const { plans, found } = await request.step('choose the rows', () => choose(prepared, opened));
    const warnings = [...withoutLargeObjects(prepared), ...plans.flatMap((plan) => plan.warnings)];
    const rows = await request.step('put the rows in', () => putIn(prepared, opened, plans));
    await opened.close();
    await session.close();
    await dropWorking(admin, working).catch((error: unknown) =>
      warnings.push(
        `the scratch database ${working} could not be dropped, the next restore removes it: ${toPgsiloError(error).message}`,
      ),
    );
    return {
      target: live,
      compared,
      rows,
      warnings,
      next:
        found === 0 ? ['The backup has no such row: nothing was changed.'] : [`Look at them in ${place}.`],
    };
  } catch (error) {
    await copy?.close();
    throw await undo(making, working, error);
  }
}

/** What can be moved, and whether the conditions can be understood, before the live tables are touched. */
async function choose(
  { session, tables, onConflict }: RowsRestore,
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
  { copy: { context }, session, onConflict, lockTimeout, place, show }: RowsRestore,
  copy: Session,
  plans: readonly RowsPlan[],
): Promise<readonly RowsRestored[]> {
  const rows: RowsRestored[] = [];
  await session.query('BEGIN');
  try {
    await session.query(`SET LOCAL lock_timeout = ${Math.ceil(lockTimeout)}`);
    for (const plan of plans) {
      // What triggers of the tenant do finds its tables as it does for the application.
      await session.query(`SET LOCAL search_path = ${quoteIdentifier(plan.table.schema)}, public`);
      rows.push({ table: show(plan.table), ...(await moveRows(copy, session, plan, onConflict, context)) });
    }
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
      `whether the rows are in ${place} is not known: ${toPgsiloError(error).message}`,
      {
        cause: error,
        hint: 'Look for them there before you restore again.',
      },
    );
  }
  return rows;
}
