import { quoteIdentifier, showName, type Session } from '@pgsilo/postgres';

/** What a publication publishes of a schema by name of its own, not because it publishes everything. */
export interface Membership {
  readonly publication: string;
  /** Undefined: all tables of the schema. */
  readonly table: string | undefined;
  /** Column list and row filter, as SQL; empty where there is none. */
  readonly narrowed: string;
}

/** The publications that name the schema or its tables, with what they let through. */
export async function publicationsOf(session: Session, oid: number): Promise<readonly Membership[]> {
  // Both came with version 15.
  const since15 = session.major >= 15;
  const columns = since15
    ? `(SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')' FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs))`
    : 'NULL';
  const filter = since15 ? `' WHERE ' || pg_get_expr(r.prqual, r.prrelid)` : 'NULL';
  const tables = await session.query<{ publication: string; table: string; columns: string | null; filter: string | null }>(
    `SELECT p.pubname::text AS publication, c.relname::text AS table, ${columns} AS columns, ${filter} AS filter
       FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
      WHERE c.relnamespace = $1 ORDER BY 1, 2`,
    [oid],
  ); // prettier-ignore
  const schemas = since15
    ? await session.query<{ publication: string }>(
        `SELECT p.pubname::text AS publication FROM pg_publication_namespace n JOIN pg_publication p ON p.oid = n.pnpubid WHERE n.pnnspid = $1 ORDER BY 1`,
        [oid],
      )
    : [];
  return [
    ...schemas.map(({ publication }) => ({ publication, table: undefined, narrowed: '' })),
    ...tables.map(({ publication, table, columns, filter }) => ({
      publication,
      table,
      narrowed: `${columns ?? ''}${filter === null ? '' : ` WHERE (${filter.slice(' WHERE '.length)})`}`,
    })),
  ];
}

/**
 * Makes publications publish what stands under the schema's name in the place of what was moved aside, with the same columns and rows.
 * Returns what could not be: tables that the backup does not have.
 */
export async function movePublications(
  session: Session,
  memberships: readonly Membership[],
  schema: string,
  aside: string,
): Promise<readonly string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')`,
    [schema],
  );
  const there = new Set(rows.map(({ name }) => name));
  const gone: string[] = [];
  for (const { publication, table, narrowed } of memberships) {
    const name = quoteIdentifier(publication);
    const what = (of: string): string =>
      table === undefined
        ? `TABLES IN SCHEMA ${quoteIdentifier(of)}`
        : `TABLE ONLY ${quoteIdentifier(of)}.${quoteIdentifier(table)}`;
    await session.query(`ALTER PUBLICATION ${name} DROP ${what(aside)}`);
    if (table !== undefined && !there.has(table)) {
      gone.push(
        `publication ${showName(publication)} no longer has table ${showName(table)}, which the backup does not have`,
      );
      continue;
    }
    await session.query(`ALTER PUBLICATION ${name} ADD ${what(schema)}${narrowed}`);
  }
  return gone;
}
