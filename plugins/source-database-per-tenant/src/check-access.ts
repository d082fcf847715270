import { toPgsiloError, type CheckResult, type Context, type Plan } from '@pgsilo/plugin';
import {
  checkPasswords,
  openSession,
  plural,
  showName,
  type Session,
  readAccessProblem,
} from '@pgsilo/postgres';
import { databaseOf } from './plan.ts';
import type { SourceSetup } from './setup.ts';

/** Lines about single databases; the rest is counted. */
const mostReported = 10;

/** Whether the role can read all of every database of the plan. */
export async function* checkAccess(
  setup: SourceSetup,
  session: Session,
  plan: Plan,
  context: Context,
): AsyncGenerator<CheckResult> {
  const [role] = await session.query<{
    name: string;
    superuser: boolean;
    bypassrls: boolean;
    readsall: boolean;
  }>(
    `SELECT rolname::text AS name, rolsuper AS superuser, rolbypassrls AS bypassrls,
            pg_has_role('pg_read_all_data', 'USAGE') AS readsall
       FROM pg_roles WHERE rolname = current_user`,
  );
  const { name, superuser, bypassrls, readsall } = role!;
  const abilities = superuser
    ? ['superuser']
    : [...(readsall ? ['pg_read_all_data'] : []), ...(bypassrls ? ['BYPASSRLS'] : [])];
  yield {
    name: 'role',
    status: 'ok',
    message: `${showName(name)}${abilities.length ? ` (${abilities.join(', ')})` : ''}`,
  };
  if (setup.options.globals) yield* checkPasswords(session);
  if (superuser) return;

  const units = plan.jobs.flatMap((job) => job.units).filter((unit) => !unit.name.startsWith('@'));
  let problems = 0;
  for (let from = 0; from < units.length; from += context.parallel) {
    const batch = units.slice(from, from + context.parallel);
    const found = await Promise.all(batch.map((unit) => problemOf(setup, databaseOf(unit), context)));
    for (const problem of found) {
      if (problem === undefined) continue;
      problems += 1;
      if (problems <= mostReported) yield { name: 'access', status: 'failed', ...problem };
    }
  }
  if (problems > mostReported) {
    yield {
      name: 'access',
      status: 'failed',
      message: `${plural(problems - mostReported, 'more database')} cannot be read whole`,
      hint: 'See the first ones.',
    };
  }
  if (problems === 0)
    yield {
      name: 'access',
      status: 'ok',
      message:
        units.length === 1
          ? 'all of the database can be read'
          : `all of ${plural(units.length, 'database')} can be read`,
    };
}

async function problemOf(
  setup: SourceSetup,
  database: string,
  context: Context,
): Promise<{ message: string; hint: string } | undefined> {
  try {
    const session = await openSession(setup.settings, {
      database,
      applicationName: 'pgsilo check',
      purpose: 'check what can be read',
      signal: context.signal,
    });
    try {
      return await readAccessProblem(session);
    } finally {
      await session.close();
    }
  } catch (error) {
    const { message, hint } = toPgsiloError(error);
    return { message, hint: hint ?? 'Grant CONNECT to the role.' };
  }
}
