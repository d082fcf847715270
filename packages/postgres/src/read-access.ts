import { plural } from './plural.ts';
import { showName } from './quoting.ts';
import type { Session } from './session.ts';

interface Access {
  readonly unreadable: string[] | null;
  readonly filtered: string[] | null;
  readonly objects: number;
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

/** What keeps the session's role from reading all of its database; undefined: nothing does. */
export async function readAccessProblem(
  session: Session,
): Promise<{ readonly message: string; readonly hint: string } | undefined> {
  const [access] = await session.query<Access>(accessQuery);
  const { unreadable, filtered, objects } = access!;
  const where = `database ${showName(session.database)}`;
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
