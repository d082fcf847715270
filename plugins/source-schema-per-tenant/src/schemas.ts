import type { Session } from '@pgsilo/postgres';

/** A schema of the database that is not the system's. */
export interface Schema {
  readonly oid: number;
  readonly name: string;
  /** Made by an extension, and gone with it: CREATE EXTENSION makes it anew. */
  readonly ofExtension: boolean;
  readonly tables: number;
}

/** All of them, by name, in the session's snapshot. */
export async function listSchemas(session: Session): Promise<ReadonlyMap<string, Schema>> {
  const rows = await session.query<Schema>(
    `SELECT n.oid::int8::float8 AS oid, n.nspname::text AS name,
            EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e') AS "ofExtension",
            coalesce(t.count, 0)::int4 AS tables
       FROM pg_namespace n
       LEFT JOIN (SELECT relnamespace, count(*) FROM pg_class WHERE relkind IN ('r', 'p') GROUP BY relnamespace) t ON t.relnamespace = n.oid
      WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
      ORDER BY n.nspname COLLATE "C"`,
  );
  return new Map(rows.map((row) => [row.name, row]));
}
