import type { Session } from '@pgsilo/postgres';
import { placedObjects } from './placed-objects.ts';

/** Something outside of a schema that would go on pointing at the replaced one. */
export interface Dependent {
  /** In PostgreSQL's own words: `constraint orders_customer_fkey on table central.orders`. */
  readonly object: string;
  /** What it points at. */
  readonly on: string;
}

/** What stands in a schema's way out and back, from the catalog. */
export interface SchemaTies {
  /** Objects outside of it that depend on what is in it, in a way that PostgreSQL keeps by number and not by name. */
  readonly dependents: readonly Dependent[];
  /** Its tables that inherit from a table of another schema, or are partitions of one: two of them cannot be. */
  readonly heirs: readonly Dependent[];
  /** Tables that a subscription fills. */
  readonly subscribed: readonly Dependent[];
  /** Foreign keys of its tables to others: while a copy of it is kept, they are too. */
  readonly foreignKeys: number;
  readonly extensions: readonly { readonly name: string; readonly movable: boolean }[];
}

/** The parts of operator families as well, and all triggers. */
const placed = `placed (classid, objid, schema) AS (
  ${placedObjects}
  UNION ALL SELECT 'pg_amop'::regclass, a.oid, f.opfnamespace FROM pg_amop a JOIN pg_opfamily f ON f.oid = a.amopfamily
  UNION ALL SELECT 'pg_amproc'::regclass, a.oid, f.opfnamespace FROM pg_amproc a JOIN pg_opfamily f ON f.oid = a.amprocfamily
  UNION ALL SELECT 'pg_trigger'::regclass, t.oid, c.relnamespace FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
), member AS (
  SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
)`;

/**
 * Casts and transforms have no schema: one that is made of the schema's objects and the system's alone goes with it. Publications are re-made (see `publications.ts`), default privileges
 * are the schema's own, triggers of a foreign key are its constraint's, and what lives in pg_toast or in a session's own schema goes with its table or its session.
 */
const dependentsQuery = `WITH ${placed}, own AS (
    SELECT p.classid, p.objid FROM placed p
     WHERE p.schema = $1 AND NOT EXISTS (SELECT FROM member m WHERE m.classid = p.classid AND m.objid = p.objid)
  ), crossing AS (
    SELECT d.classid, d.objid, d.refclassid, d.refobjid FROM pg_depend d
      JOIN own r ON r.classid = d.refclassid AND r.objid = d.refobjid
      LEFT JOIN placed p ON p.classid = d.classid AND p.objid = d.objid
      LEFT JOIN pg_namespace n ON n.oid = p.schema
     WHERE p.schema IS DISTINCT FROM $1 AND (n.oid IS NULL OR n.nspname !~ '^pg_')
       AND d.classid NOT IN ('pg_publication_rel'::regclass, 'pg_extension'::regclass)
       AND NOT (d.classid = 'pg_trigger'::regclass AND (SELECT t.tgisinternal FROM pg_trigger t WHERE t.oid = d.objid))
       AND NOT (d.classid IN ('pg_cast'::regclass, 'pg_transform'::regclass) AND NOT EXISTS (
         SELECT FROM pg_depend o LEFT JOIN placed q ON q.classid = o.refclassid AND q.objid = o.refobjid
          WHERE o.classid = d.classid AND o.objid = d.objid AND q.schema IS DISTINCT FROM $1))
  )
  SELECT pg_describe_object(classid, objid, 0) AS object, min(pg_describe_object(refclassid, refobjid, 0)) AS on
    FROM crossing GROUP BY classid, objid ORDER BY 1`;

/** Looks at a schema by its OID: what is in it, and what holds on to that from outside. */
export async function schemaTies(session: Session, oid: number): Promise<SchemaTies> {
  const dependents = await session.query<Dependent>(dependentsQuery, [oid]);
  const heirs = await session.query<Dependent>(
    `SELECT pg_describe_object('pg_class'::regclass, c.oid, 0) AS object, pg_describe_object('pg_class'::regclass, p.oid, 0) AS on
       FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
      WHERE c.relnamespace = $1 AND p.relnamespace <> $1 AND c.relkind IN ('r', 'p', 'f') ORDER BY 1`,
    [oid],
  );
  const subscribed = await session.query<Dependent>(
    `SELECT format('subscription %I', s.subname) AS object, pg_describe_object('pg_class'::regclass, c.oid, 0) AS on
       FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid JOIN pg_class c ON c.oid = r.srrelid WHERE c.relnamespace = $1 ORDER BY 1, 2`,
    [oid],
  );
  const [keys] = await session.query<{ count: number }>(
    `SELECT count(*)::int4 AS count FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
      WHERE k.contype = 'f' AND c.relnamespace = $1 AND t.relnamespace <> $1`,
    [oid],
  );
  const extensions = await session.query<{ name: string; movable: boolean }>(
    `SELECT extname::text AS name, extrelocatable AS movable FROM pg_extension WHERE extnamespace = $1 ORDER BY 1`,
    [oid],
  );
  return { dependents, heirs, subscribed, foreignKeys: keys!.count, extensions };
}
