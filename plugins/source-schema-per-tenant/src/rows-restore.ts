import { createReadStream } from 'node:fs';
import {
  PgsiloError,
  type Context,
  type Restoration,
  type RestoreRequest,
  type RowConflict,
  type RowSelection,
} from '@pgsilo/plugin';
import {
  artifactOf, describeServer, findPgRestore, listed, majorVersion, openAdmin, openSession, quoteIdentifier, readFingerprint, readToc, showName, splitTableName,
  targetNames, targetServer, throwProblems, downgradeProblem, type RowsTable, type Session, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore
import type { UnitNeeds } from './about.ts';
import { findSchema } from './live-conditions.ts';
import type { PreparedRestore } from './restore-run.ts';
import { runRowsRestore } from './rows-restore-run.ts';
import { databaseOf, type SourceSetup } from './setup.ts';

/** A restore of rows that was found possible. */
export interface PreparedRowsRestore {
  /** How the scratch copy is made. */
  readonly copy: PreparedRestore;
  /** In the database of the live tables. */
  readonly session: Session;
  readonly tables: readonly RowsTable[];
  readonly onConflict: RowConflict;
}

/** Prepares bringing rows back into live tables, through a scratch copy of the schema: the condition runs there and nowhere else. */
export async function prepareRowsRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
  schema: string,
  needs: UnitNeeds,
): Promise<Restoration> {
  const { backup, rows = [] } = request;
  refuseOthers(request);
  const tables = rows.map((selection) => tableOf(selection, schema));
  const onConflict = request.onConflict ?? 'fail';
  const database = databaseOf(setup);
  const applicationName = `pgsilo restore ${crypto.randomUUID().slice(0, 8)}`;
  const { signal } = context;
  const server = targetServer(setup.settings, request);
  const session = await openSession(server, { database, applicationName, purpose: 'restore rows', signal });
  let admin: Session | undefined;
  try {
    if (!(await findSchema(session, schema)))
      throw new PgsiloError(
        'restore.no-match',
        `database ${showName(database)} has no schema ${showName(schema)}`,
        {
          hint: 'Restore all of it: --replace.',
        },
      );
    if (request.onConflict === undefined) await refuseFilled(session, tables);
    const downgrade = downgradeProblem(majorVersion(backup.facts.server.version), session.major);
    throwProblems(downgrade ? [downgrade] : []);
    const names = targetNames(request, schema);
    admin = await openAdmin(server, names, applicationName, signal);
    const fingerprint = await readFingerprint(backup);
    const archive = await request.step('fetch the backup and check its hashes', () =>
      artifactOf(backup, 'schema.dump').spool(),
    );
    const toc = await readToc(createReadStream(archive));
    refuseAbsent(toc.entries, tables);
    const tool = await findPgRestore(setup, session.major, majorVersion(toc.header.dumpVersion) ?? 0, signal);
    // Neither indexes nor foreign keys, which may need other schemas, help to read rows once.
    const entries = toc.entries.filter(({ section }) => section === 'pre-data' || section === 'data');
    const copy: PreparedRestore = {
      setup, request, context, admin, applicationName, names, schema, needs, archive, tool, fingerprint, entries, swaps: false,
      progress: { naming: false },
    }; // prettier-ignore
    const opened = admin;
    return {
      plan: [
        `Restore schema ${showName(schema)} without its indexes and foreign keys into a scratch database on ${describeServer(admin.settings)}, compare it with the fingerprint of the backup, and drop it in the end`,
        ...tables.map(
          (table) =>
            `Take ${table.where === undefined ? 'all rows' : `the rows where ${table.where}`} of table ${showName(table.name)} out of it`,
        ),
        `In one transaction, put them into the live tables of schema ${showName(schema)} in database ${showName(database)}, as an INSERT would: triggers run, keys must hold`,
        {
          fail: 'A row that is there already ends it, and nothing is changed',
          skip: 'A row that is there already stays as it is',
          replace: 'A row that is there already, by its primary key, is made what it was',
        }[onConflict],
      ],
      ...(onConflict === 'replace' ? { replaces: schema } : {}),
      run: () => runRowsRestore({ copy, session, tables, onConflict }),
      close: async () => {
        await Promise.all([session.close(), opened.close()]);
      },
    };
  } catch (error) {
    await Promise.all([session.close(), admin?.close()]);
    throw error;
  }
}

function refuseOthers({ replace, dropOld, to, into, toSchema, tables, rows }: RestoreRequest): void {
  if (!replace && !dropOld && (to ?? into ?? toSchema) === undefined && !tables && rows!.length > 0) return;
  throw new PgsiloError('restore.refused', 'rows are put into the live tables, and nowhere else', {
    hint: 'Leave out --replace, --to, --into, --to-schema and --table without --data-only.',
  });
}

/** `orders`, or `acme.orders` of this very schema. Throws `usage.invalid`. */
function tableOf({ table, where }: RowSelection, schema: string): RowsTable {
  const parts = splitTableName(table)?.map(({ name }) => name);
  const name = parts?.at(-1);
  if (!parts || name === undefined || parts.length > 2)
    throw new PgsiloError(
      'usage.invalid',
      `${JSON.stringify(table)} is not of the form table or schema.table`,
    );
  if (parts.length === 2 && parts[0] !== schema)
    throw new PgsiloError(
      'usage.invalid',
      `table ${JSON.stringify(table)} is not of schema ${showName(schema)}, which is restored`,
    );
  return { schema, name, where };
}

function refuseAbsent(entries: readonly TocEntry[], tables: readonly RowsTable[]): void {
  const there = entries.filter(({ desc }) => desc === 'TABLE').map(({ tag }) => tag);
  const absent = tables.filter(({ name }) => !there.includes(name));
  if (absent.length === 0) return;
  throw new PgsiloError(
    'restore.no-match',
    `the backup has no table ${listed(absent.map(({ name }) => showName(name)))}`,
    {
      hint: `It has: ${listed([...there].sort().map(showName))}`,
    },
  );
}

/** Who wants all rows of a table and says nothing of those that are there means an empty one. */
async function refuseFilled(session: Session, tables: readonly RowsTable[]): Promise<void> {
  for (const { schema, name, where } of tables) {
    if (where !== undefined) continue;
    const relation = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
    const [row] = await session.query<{ filled: boolean }>(
      `SELECT CASE WHEN to_regclass($1) IS NULL THEN false ELSE (SELECT count(*) > 0 FROM pg_class WHERE oid = to_regclass($1)) END AS filled`,
      [relation],
    );
    if (!row!.filled) continue;
    const [found] = await session.query<{ some: boolean }>(`SELECT EXISTS (SELECT FROM ${relation}) AS some`);
    if (found!.some)
      throw new PgsiloError(
        'restore.target-not-empty',
        `table ${showName(name)} of schema ${showName(schema)} holds rows`,
        {
          hint: 'Say what becomes of those that are there already: --on-conflict skip, replace or fail.',
        },
      );
  }
}
