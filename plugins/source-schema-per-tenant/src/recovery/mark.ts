import { z } from 'zod';
import { quoteIdentifier, quoteLiteral, type Session } from '@pgsilo/postgres';

/** What a restore of everything writes into the comment of a schema, or of the database, as long as something of it is left to be made. */
export interface Mark {
  readonly unit: string;
  /** Id of the backup that it was made of. */
  readonly backup: string;
  /** Numbers of the entries of its archive that are not made. */
  readonly left: readonly number[];
  /** Of the database: it has its settings, and its users are let in. */
  readonly open?: boolean | undefined;
}

const prefix =
  'pgsilo: this restore is not finished; the command that made it goes on when it is called again ';
const form: z.ZodType<Mark> = z.strictObject({
  unit: z.string(),
  backup: z.string(),
  left: z.array(z.int().positive()),
  open: z.boolean().optional(),
});

/** Undefined: the comment is none of ours. */
export function parseMark(comment: string | null): Mark | undefined {
  if (!comment?.startsWith(prefix)) return undefined;
  try {
    return form.safeParse(JSON.parse(comment.slice(prefix.length))).data;
  } catch {
    return undefined;
  }
}

export function markSchema(session: Session, schema: string, mark: Mark | undefined): Promise<unknown> {
  return session.query(`COMMENT ON SCHEMA ${quoteIdentifier(schema)} IS ${literal(mark)}`);
}

export function markDatabase(session: Session, database: string, mark: Mark | undefined): Promise<unknown> {
  return session.query(`COMMENT ON DATABASE ${quoteIdentifier(database)} IS ${literal(mark)}`);
}

/** The comment. In ASCII: a name of the registry's database may have characters that this one's encoding has not. */
export function textOf(mark: Mark): string {
  const text = JSON.stringify(mark).replaceAll(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return prefix + text;
}

function literal(mark: Mark | undefined): string {
  return mark ? quoteLiteral(textOf(mark)) : 'NULL';
}

/** The mark of the session's database. */
export async function readDatabaseMark(session: Session): Promise<Mark | undefined> {
  const [row] = await session.query<{ comment: string | null }>(
    `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = current_database()`,
  );
  return parseMark(row?.comment ?? null);
}

/** The schemas of the session's database that have a mark. */
export async function readSchemaMarks(
  session: Session,
): Promise<readonly { readonly schema: string; readonly mark: Mark }[]> {
  const rows = await session.query<{ schema: string; comment: string }>(
    `SELECT n.nspname::text AS schema, d.description AS comment FROM pg_description d JOIN pg_namespace n ON n.oid = d.objoid
      WHERE d.classoid = 'pg_namespace'::regclass AND starts_with(d.description, $1) ORDER BY n.nspname COLLATE "C"`,
    [prefix],
  );
  return rows.flatMap(({ schema, comment }) => {
    const mark = parseMark(comment);
    return mark ? [{ schema, mark }] : [];
  });
}
