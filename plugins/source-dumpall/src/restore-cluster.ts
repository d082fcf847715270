import {
  PgsiloError,
  type Context,
  type Restoration,
  type RestoreOutcome,
  type RestoreRequest,
} from '@pgsilo/plugin';
import {
  asRestoreError,
  databaseExists,
  describeGlobals,
  describeServer,
  listed,
  openAdmin,
  openSession,
  planGlobals,
  plural,
  readRestorer,
  runGlobals,
  showName,
  sweepLeftovers,
  targetNames,
  targetServer,
  throwProblems,
  type GlobalsPlan,
  type Problem,
} from '@pgsilo/postgres';
import type { DumpedDatabase } from './contents.ts';
import { copyDatabase, fill } from './copy-database.ts';
import { openDumpTarget, readTablespaces, type DumpTarget } from './dump-target.ts';
import { refuseLocale } from './restore-database.ts';
import type { SourceSetup } from './setup.ts';

/** Prepares the restore of all of the dump into a server that has none of its databases: roles and tablespaces first, then one database after another. */
export async function prepareClusterRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  refuseContradictions(request);
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const server = targetServer(setup.settings, request);
  const admin = await openAdmin(server, { live: '', target: '', kept: '' }, applicationName, context.signal);
  try {
    const restorer = await readRestorer(admin);
    if (!restorer.superuser)
      throw new PgsiloError(
        'restore.denied',
        `role ${showName(restorer.name)} is no superuser, and a whole server is restored by one`,
        { hint: 'Restore single databases with --database, or as a superuser.' },
      );
    const target = await openDumpTarget(setup, request, admin, applicationName, context);
    for (const database of target.contents.databases) refuseLocale(target, database);
    throwProblems(await findTaken(target));
    const globals = await planGlobals(admin, target.contents.globals);
    return {
      plan: [...describeGlobals(globals, admin), ...describe(target)],
      run: () => runCluster(target, globals),
      close: () => admin.close(),
    };
  } catch (error) {
    await admin.close();
    throw error;
  }
}

function refuseContradictions(request: RestoreRequest): void {
  if (request.to !== undefined)
    throw new PgsiloError('restore.refused', '--to names one database, and this is a whole server', {
      hint: 'Say which with --database, or restore into an empty server with --to-server.',
    });
  if (!request.owner)
    throw new PgsiloError('restore.refused', 'a whole server is restored with its owners and grants', {
      hint: 'Leave --no-owner out, or restore single databases with --database.',
    });
}

/** Databases that every server has: their parts are run in them. */
function isGiven(database: DumpedDatabase): boolean {
  return database.creation === undefined;
}

async function findTaken(target: DumpTarget): Promise<readonly Problem[]> {
  const { admin, contents } = target;
  const taken: string[] = [];
  for (const database of contents.databases) {
    const there = await databaseExists(admin, database.name);
    if (isGiven(database) ? !database.empty && there && (await isUsed(target, database.name)) : there)
      taken.push(database.name);
  }
  if (taken.length === 0) return [];
  return [
    {
      code: 'restore.target-not-empty',
      message: `${describeServer(admin.settings)} has databases of the backup already: ${listed(taken.map(showName))}`,
      hint: 'Restore into an empty server with --to-server, or single databases with --database and --to.',
    },
  ];
}

/** Whether anybody has made anything in the database. */
async function isUsed({ admin, applicationName, context }: DumpTarget, database: string): Promise<boolean> {
  const session = await openSession(admin.settings, {
    database,
    applicationName,
    purpose: 'see whether it is empty',
    signal: context.signal,
  });
  try {
    const [row] = await session.query<{ used: boolean }>(
      `WITH own AS (SELECT oid FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_')
       SELECT (SELECT count(*) FROM own) > 1 OR EXISTS (SELECT FROM pg_class WHERE relnamespace IN (SELECT oid FROM own))
           OR EXISTS (SELECT FROM pg_proc WHERE pronamespace IN (SELECT oid FROM own)) AS used`,
    );
    return row?.used === true;
  } finally {
    await session.close();
  }
}

async function runCluster(target: DumpTarget, globals: GlobalsPlan): Promise<RestoreOutcome> {
  const { admin, request, context, contents } = target;
  await sweepLeftovers(admin, context);
  const created = await runGlobals(admin, globals, request);
  const warnings = [...created.warnings];
  const done: string[] = [];
  // The globals may just have made some.
  const now: DumpTarget = { ...target, tablespaces: await readTablespaces(admin) };
  for (const database of contents.databases) {
    if (isGiven(database) && database.empty) continue;
    const name = showName(database.name);
    try {
      const copied = await request.step(`restore database ${name}`, () => restoreOne(now, database));
      warnings.push(...copied.warnings);
      done.push(name);
    } catch (error) {
      throw withDone(error, database, done);
    }
  }
  const tables = contents.databases.reduce((sum, one) => sum + one.tables, 0);
  const rows = contents.databases.reduce((sum, one) => sum + one.rows, 0);
  return {
    target: describeServer(admin.settings),
    compared: `${plural(done.length, 'database')}, ${plural(tables, 'table')}, ${plural(rows, 'row')}; ${created.compared}`,
    warnings,
    next: ['Point the applications at the server, and back it up.'],
  };
}

async function restoreOne(target: DumpTarget, database: DumpedDatabase): ReturnType<typeof copyDatabase> {
  const inOneStep = <T>(_name: string, work: () => Promise<T>): Promise<T> => work();
  if (isGiven(database)) return fill(target, database, database.name, inOneStep);
  const names = { ...targetNames(target.request, database.name), target: database.name };
  return copyDatabase(target, database, names, inOneStep);
}

function withDone(thrown: unknown, database: DumpedDatabase, done: readonly string[]): PgsiloError {
  const error = asRestoreError(thrown);
  const before = done.length === 0 ? 'none' : listed(done);
  const half = isGiven(database) ? ' It may hold a part of what it should.' : '';
  return new PgsiloError(
    error.code,
    `database ${showName(database.name)}: ${error.message}${half}\nRestored whole before it: ${before}.`,
    { cause: error, hint: error.hint ?? 'Restore the others one by one with --database and --to.' },
  );
}

function describe({ contents, tool }: DumpTarget): readonly string[] {
  return contents.databases.flatMap((database) => {
    if (isGiven(database) && database.empty) return [];
    const size = `${plural(database.tables, 'table')}, ${plural(database.rows, 'row')}`;
    const verb = isGiven(database) ? 'Fill' : 'Create';
    return [
      `${verb} database ${showName(database.name)} (${size}) with ${tool.name} ${tool.version}, and compare it with the dump`,
    ];
  });
}
