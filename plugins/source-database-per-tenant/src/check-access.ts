import { toPgsiloError, type CheckResult, type Context, type Plan } from '@pgsilo/plugin';
import { openSession, plural, showName, type Session } from '@pgsilo/postgres';
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
    passwords: boolean;
  }>(
    `SELECT rolname::text AS name, rolsuper AS superuser, rolbypassrls AS bypassrls,
            pg_has_role('pg_read_all_data', 'USAGE') AS readsall, has_table_privilege('pg_authid', 'SELECT') AS passwords
       FROM pg_roles WHERE rolname = current_user`,
  );
  const { name, superuser, bypassrls, readsall, passwords } = role!;
  const abilities = superuser
    ? ['superuser']
    : [...(readsall ? ['pg_read_all_data'] : []), ...(bypassrls ? ['BYPASSRLS'] : [])];
  yield {
    name: 'role',
    status: 'ok',
    message: `${showName(name)}${abilities.length ? ` (${abilities.join(', ')})` : ''}`,
  };
  if (setup.options.globals && !passwords) {
    yield {
      name: 'globals',
      status: 'warning',
      message: `${showName(name)} may not read pg_authid: roles are backed up without their passwords`,
      hint: 'Grant pg_read_all_data, or set the passwords anew after a restore of @globals.',
    };
  }
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

interface Access {
  readonly unreadable: string[] | null;
  readonly filtered: string[] | null;
  readonly objects: number;
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
      return describe(database, (await session.query<Access>(accessQuery))[0]!);
    } finally {
      await session.close();
    }
  } catch (error) {
    const { message, hint } = toPgsiloError(error);
    return { message, hint: hint ?? 'Grant CONNECT to the role.' };
  }
}

/** What pg_dump will want to read: tables and sequences that are no extension's, and large objects, to which pg_read_all_data gives no right. */
const accessQuery = `
  WITH relation AS (
    SELECT c.oid, c.relkind, c.relrowsecurity, format('%I.%I', n.nspname, c.relname) AS name, n.oid AS schema
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
  SELECT (SELECT array_agg(name ORDER BY name) FROM relation
           WHERE NOT has_schema_privilege(schema, 'USAGE') OR NOT has_table_privilege(oid, 'SELECT')) AS unreadable,
         (SELECT array_agg(name ORDER BY name) FROM relation WHERE relrowsecurity AND row_security_active(oid)) AS filtered,
         (SELECT count(*) FROM pg_largeobject_metadata
           WHERE NOT pg_has_role(lomowner, 'USAGE') AND NOT EXISTS (
             SELECT FROM aclexplode(lomacl) a
              WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE'))))::int4 AS objects`;

function describe(database: string, access: Access): { message: string; hint: string } | undefined {
  const { unreadable, filtered, objects } = access;
  const where = `database ${showName(database)}`;
  if (unreadable) {
    return {
      message: `${where}: ${some(unreadable)} cannot be read`,
      hint: 'GRANT pg_read_all_data TO the role.',
    };
  }
  if (filtered) {
    return {
      message: `${where}: row-level security hides rows of ${some(filtered)}, so pg_dump will refuse`,
      hint: 'ALTER ROLE … BYPASSRLS.',
    };
  }
  if (objects > 0) {
    return {
      message: `${where}: ${plural(objects, 'large object')} cannot be read`,
      hint: 'Grant membership in their owners, or SELECT on them.',
    };
  }
  return undefined;
}

function some(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}
