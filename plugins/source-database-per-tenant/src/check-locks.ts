import type { CheckResult, Context, Plan } from '@pgsilo/plugin';
import { openSession, plural, showName, type Session, failed } from '@pgsilo/postgres';
import { databaseOf } from './plan.ts';
import type { SourceSetup } from './setup.ts';

/** Part of the server's lock table that one database may fill without a warning: the application's locks are in it too. */
const comfortable = 0.5;

/** pg_dump locks every table of a database until it ends, and the server's lock table has a fixed size: looks at the largest database. */
export async function* checkLockHeadroom(
  setup: SourceSetup,
  server: Session,
  plan: Plan,
  context: Context,
): AsyncGenerator<CheckResult> {
  const name = 'locks';
  const largest = [...plan.jobs]
    .filter((job) => !job.units[0]!.name.startsWith('@'))
    .sort((a, b) => (b.estimatedBytes ?? 0) - (a.estimatedBytes ?? 0))[0];
  if (!largest) return;
  const database = databaseOf(largest.units[0]!);
  try {
    const [capacity] = await server.query<{ locks: number }>(
      `SELECT current_setting('max_locks_per_transaction')::int4
              * (current_setting('max_connections')::int4 + current_setting('max_prepared_transactions')::int4) AS locks`,
    );
    const tables = await countTables(setup, database, context);
    const { locks } = capacity!;
    const message = `${plural(tables, 'table')} in the largest database, ${showName(database)}; the server has room for ${locks.toLocaleString('en-US')} locks`;
    const hint = 'Raise max_locks_per_transaction (it takes a restart of the server).';
    if (tables >= locks) yield { name, status: 'failed', message, hint };
    else if (tables > locks * comfortable) yield { name, status: 'warning', message, hint };
    else yield { name, status: 'ok', message };
  } catch (error) {
    yield failed(name, error);
  }
}

async function countTables(setup: SourceSetup, database: string, context: Context): Promise<number> {
  const session = await openSession(setup.settings, {
    database,
    applicationName: 'pgsilo check',
    purpose: 'count the tables',
    signal: context.signal,
  });
  try {
    const [row] = await session.query<{ tables: number }>(
      `SELECT count(*)::int4 AS tables FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`,
    );
    return row!.tables;
  } finally {
    await session.close();
  }
}
