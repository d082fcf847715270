import { PgsiloError, type RestoreRequest } from '@pgsilo/plugin';
import {
  listed,
  looksRestored,
  plural,
  quoteIdentifier,
  showName,
  type Problem,
  type Session,
} from '@pgsilo/postgres';
import type { UnitNeeds } from './about.ts';
import type { LiveSchema } from './live-conditions.ts';
import { countOf, fetchLargeObjects, type LargeObjectArchive } from './restored-large-objects.ts';

/** Where the contents of replaced large objects are kept: a table of the schema that is kept. */
export const keptTable = 'pgsilo_large_objects';

/** What becomes of large objects in a database that is there. */
export interface LiveLargeObjects {
  readonly archives: readonly LargeObjectArchive[];
  /** The role whose large objects are the live tenant's, and make way; undefined: none do. */
  readonly replacedOf: string | undefined;
  /** How many that role has now. */
  readonly replaced: number;
  /** How many numbers of the backup belong to others. */
  readonly taken: number;
  readonly problems: readonly Problem[];
}

/** Finds out which numbers are free, and whose large objects a replacement takes the place of. */
export async function examineLargeObjects(
  session: Session,
  request: RestoreRequest,
  needs: UnitNeeds,
  schema: string,
  live: LiveSchema | undefined,
): Promise<LiveLargeObjects> {
  // Single tables come without: nobody knows which of them would be theirs.
  const archives = request.tables ? [] : await fetchLargeObjects(request);
  const none = { archives, replacedOf: undefined, replaced: 0, problems: [] };
  const oids = archives.flatMap((each) => each.oids);
  // Of a backup that was made without telling them apart nobody knows which the tenant had.
  const told = oids.length > 0 || needs.largeObjects === 'owner';
  // Those of a schema that was dropped are there still.
  const role = live?.owner ?? archives[0]?.owner;
  if (!request.replace || !told || role === undefined)
    return { ...none, taken: await countTaken(session, oids, undefined) };
  const replaced = await countOwned(session, role);
  const others = await schemasOf(session, role, schema);
  if (replaced === 0 || (others.length > 0 && !live))
    return { ...none, taken: await countTaken(session, oids, undefined) };
  return {
    archives,
    replacedOf: role,
    replaced,
    taken: await countTaken(session, oids, role),
    problems: others.length === 0 ? [] : [whose(schema, role, replaced, others)],
  };
}

/** What a person should know before. */
export function describeLargeObjects(
  { archives, replacedOf, replaced, taken }: LiveLargeObjects,
  request: RestoreRequest,
  aside: string,
): readonly string[] {
  const count = countOf(archives);
  return [
    ...(count > 0
      ? [
          `Bring back ${plural(count, 'large object')}${taken > 0 ? `, ${taken.toLocaleString('en-US')} of them under other numbers, because theirs are taken, and write these into the schema's columns of types oid and lo` : ', under the numbers that they had'}`,
        ]
      : []),
    ...(replacedOf === undefined
      ? []
      : [
          `${plural(replaced, 'large object')} of role ${showName(replacedOf)} ${replaced === 1 ? 'makes' : 'make'} way for them${request.dropOld ? '' : `; what was in ${replaced === 1 ? 'it' : 'them'} is kept in table ${showName(aside)}.${keptTable}`}`,
        ]),
  ];
}

/** Takes away what the tenant has now; with `keep`, what was in it goes into a table of that schema first, whose name is returned, quoted. */
export async function clearLargeObjects(
  session: Session,
  role: string,
  keep: string | undefined,
): Promise<string | undefined> {
  let table: string | undefined;
  if (keep !== undefined) {
    table = `${quoteIdentifier(keep)}.${quoteIdentifier(await freeTable(session, keep))}`;
    await session.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(keep)}`);
    await session.query(
      `CREATE TABLE ${table} (id oid, owner name, rights text, comment text, at int8, data bytea, PRIMARY KEY (id, at))`,
    );
    // Nobody may know their sizes without opening each for the whole transaction: a piece that is not full is the last.
    await session.query(
      `INSERT INTO ${table} SELECT m.oid, pg_get_userbyid(m.lomowner), m.lomacl::text, obj_description(m.oid, 'pg_largeobject'), p.at, p.data
         FROM pg_largeobject_metadata m, LATERAL (
           WITH RECURSIVE pieces (at, data) AS (
             SELECT 0::int8, lo_get(m.oid, 0, ${pieceBytes})
             UNION ALL SELECT at + ${pieceBytes}, lo_get(m.oid, at + ${pieceBytes}, ${pieceBytes}) FROM pieces WHERE length(data) = ${pieceBytes}
           ) SELECT at, data FROM pieces) p
        WHERE ${ownedBy('$1')}`,
      [role],
    );
    // In this order: who owns a table must be allowed to make one in its schema.
    await session.query(`ALTER SCHEMA ${quoteIdentifier(keep)} OWNER TO ${quoteIdentifier(role)}`);
    await session.query(`ALTER TABLE ${table} OWNER TO ${quoteIdentifier(role)}`);
  }
  await session.query(
    `SELECT count(lo_unlink(m.oid)) FROM pg_largeobject_metadata m WHERE ${ownedBy('$1')} AND m.oid NOT IN (SELECT now FROM pg_temp.pgsilo_numbers)`,
    [role],
  );
  return table;
}

const pieceBytes = 1024 * 1024;

function ownedBy(role: string): string {
  return `m.lomowner = (SELECT r.oid FROM pg_roles r WHERE r.rolname = ${role}::text::name)`;
}

async function freeTable(session: Session, schema: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? keptTable : `${keptTable}_${number}`;
    const rows = await session.query(
      'SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2',
      [schema, name],
    );
    if (rows.length === 0) return name;
  }
}

/** Numbers that are there, and are not of the role that makes way. */
async function countTaken(
  session: Session,
  oids: readonly string[],
  role: string | undefined,
): Promise<number> {
  const [row] = await session.query<{ count: number }>(
    `SELECT count(*)::int4 AS count FROM pg_largeobject_metadata m WHERE m.oid = ANY ($1::oid[]) AND ${notOf('$2')}`,
    [oids, role ?? null],
  );
  return row!.count;
}

/** Of the numbers that a restore brings, those that are not free and will not be. */
export function notOf(role: string): string {
  return `(${role}::text IS NULL OR NOT coalesce(${ownedBy(role)}, false))`;
}

async function countOwned(session: Session, role: string): Promise<number> {
  const [row] = await session.query<{ count: number }>(
    `SELECT count(*)::int4 AS count FROM pg_largeobject_metadata m WHERE ${ownedBy('$1')}`,
    [role],
  );
  return row!.count;
}

/** Other schemas of a role. Those that an earlier restore has kept were this one. */
async function schemasOf(session: Session, role: string, schema: string): Promise<readonly string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT n.nspname::text AS name FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
      WHERE r.rolname = $1 AND n.nspname <> $2 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1`,
    [role, schema],
  );
  return rows.map(({ name }) => name).filter((name) => !looksRestored(name));
}

function whose(schema: string, role: string, count: number, others: readonly string[]): Problem {
  return {
    code: 'restore.refused',
    message: `role ${showName(role)} owns schema ${showName(schema)} and others (${listed(others.map(showName))}): which of its ${plural(count, 'large object')} would be replaced nobody can say`,
    hint: 'Give the others to another role (ALTER SCHEMA … OWNER TO), or restore into a new database (--to).',
  };
}

/** Thrown where what was made is not what the backup has. */
export function requireAll(found: number, wanted: number): void {
  if (found === wanted) return;
  throw new PgsiloError(
    'restore.mismatch',
    `${plural(found, 'large object')} came of the backup's ${wanted.toLocaleString('en-US')}`,
    { hint: 'Try another backup (--before) or sink (--from), and pgsilo verify --level decode.' },
  );
}
