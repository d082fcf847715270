import type { Session } from '@pgsilo/postgres';

/** What a pg_dump of one schema alone leaves out although it is made of that schema's objects and of no other's. */
export interface LeftOut {
  /** Casts and transforms, in PostgreSQL's own words. They have no schema, and pg_dump cannot be told to add them. */
  readonly objects: readonly string[];
  /** Extensions that have been made in the schema: pg_dump can be told to add these. */
  readonly extensions: readonly string[];
}

const nothing: LeftOut = { objects: [], extensions: [] };

export async function leftOutOf(
  session: Session,
  schemas: readonly string[],
): Promise<(schema: string) => LeftOut> {
  const rows = await session.query<{ schema: string; kind: 'object' | 'extension'; what: string }>(
    `WITH made (classid, oid, parts) AS (
       SELECT 'pg_cast'::regclass, c.oid, ARRAY[s.typnamespace, t.typnamespace, f.pronamespace]
         FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource JOIN pg_type t ON t.oid = c.casttarget LEFT JOIN pg_proc f ON f.oid = c.castfunc
       UNION ALL
       SELECT 'pg_transform'::regclass, r.oid, ARRAY[t.typnamespace, f.pronamespace, g.pronamespace]
         FROM pg_transform r JOIN pg_type t ON t.oid = r.trftype LEFT JOIN pg_proc f ON f.oid = r.trffromsql LEFT JOIN pg_proc g ON g.oid = r.trftosql
     ), placed AS (
       SELECT m.classid, m.oid, (SELECT array_agg(DISTINCT n.nspname::text) FROM unnest(m.parts) AS p (oid) JOIN pg_namespace n ON n.oid = p.oid
                                  WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_') AS names
         FROM made m
        WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = m.classid AND d.objid = m.oid AND d.deptype = 'e')
     )
     SELECT names[1] AS schema, 'object' AS kind, pg_describe_object(classid, oid, 0) AS what
       FROM placed WHERE cardinality(names) = 1 AND names[1] = ANY ($1)
     UNION ALL
     SELECT n.nspname::text, 'extension', e.extname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE n.nspname = ANY ($1)
     ORDER BY 1, 2, 3`,
    [schemas],
  );
  const bySchema = Map.groupBy(rows, ({ schema }) => schema);
  return (schema) => {
    const of = bySchema.get(schema);
    if (!of) return nothing;
    const kindOf = (wanted: string): string[] =>
      of.filter(({ kind }) => kind === wanted).map(({ what }) => what);
    return { objects: kindOf('object'), extensions: kindOf('extension') };
  };
}
