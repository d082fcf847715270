import type { Session } from '@pgsilo/postgres';
import { placedObjects } from './placed-objects.ts';

/** Objects of one schema that need something of another one, or of an extension. */
export interface CrossReference {
  readonly schema: string;
  /** The other schema; null: an extension, wherever its objects are. */
  readonly toSchema: string | null;
  readonly toExtension: string | null;
  /** Where the extension's objects are. */
  readonly extensionSchema: string | null;
  readonly objects: number;
  /** One of them, in PostgreSQL's own words: `constraint orders_currency_fkey on table acme.orders`. */
  readonly example: string;
}

/**
 * What crosses schemas, from the catalog: foreign keys, views, types, functions, sequences of defaults, parents of partitions. What functions name in their
 * bodies is not in it: PostgreSQL does not know of it either.
 */
export async function crossReferences(session: Session): Promise<readonly CrossReference[]> {
  return await session.query<CrossReference>(
    `WITH placed (classid, objid, schema) AS (
       ${placedObjects}
       UNION ALL SELECT 'pg_trigger'::regclass, t.oid, c.relnamespace FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
     ), own AS (
       SELECT oid, nspname::text AS name FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
     ), member AS (
       SELECT d.classid, d.objid, e.extname::text AS extension, n.nspname::text AS schema
         FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
     ), crossing AS (
       SELECT f.name AS schema, CASE WHEN m.extension IS NULL THEN t.name END AS "toSchema", m.extension AS "toExtension", m.schema AS "extensionSchema", d.classid, d.objid
         FROM pg_depend d
         JOIN placed p ON p.classid = d.classid AND p.objid = d.objid
         JOIN placed q ON q.classid = d.refclassid AND q.objid = d.refobjid
         JOIN own f ON f.oid = p.schema
         LEFT JOIN own t ON t.oid = q.schema
         LEFT JOIN member m ON m.classid = d.refclassid AND m.objid = d.refobjid
        WHERE (m.extension IS NOT NULL OR (t.oid IS NOT NULL AND p.schema <> q.schema))
          AND NOT EXISTS (SELECT FROM member o WHERE o.classid = d.classid AND o.objid = d.objid)
     ), counted AS (
       SELECT schema, "toSchema", "toExtension", "extensionSchema", count(DISTINCT (classid, objid))::int4 AS objects, min(ARRAY[classid::oid::int8, objid::int8]) AS first
         FROM crossing GROUP BY 1, 2, 3, 4
     )
     SELECT schema, "toSchema", "toExtension", "extensionSchema", objects, pg_describe_object(first[1]::oid, first[2]::oid, 0) AS example
       FROM counted ORDER BY 1, 2 NULLS LAST, 3`,
  );
}
