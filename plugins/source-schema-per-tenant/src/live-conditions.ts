import {
  listed,
  missingRoles,
  plural,
  quoteIdentifier,
  rolesNamed,
  rolesNeeded,
  showName,
  showRoles,
  type Problem,
  type Session,
  type Toc,
  type TocEntry,
} from '@pgsilo/postgres';
import type { UnitNeeds } from './about.ts';
import type { Dependent, SchemaTies } from './dependents.ts';
import { lockHeadroom } from './locks.ts';

/** A schema that is there. */
export interface LiveSchema {
  readonly oid: number;
  readonly owner: string;
  /** Whether the role that restores may rename it. */
  readonly ours: boolean;
}

export async function findSchema(session: Session, name: string): Promise<LiveSchema | undefined> {
  const [row] = await session.query<LiveSchema>(
    `SELECT oid::int8::float8 AS oid, pg_get_userbyid(nspowner)::text AS owner, pg_has_role(nspowner, 'USAGE') AS ours FROM pg_namespace WHERE nspname = $1`,
    [name],
  );
  return row;
}

/** What a person should know of a database whose event triggers run for what a restore makes. */
export async function eventTriggerWarnings(session: Session): Promise<readonly string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT evtname::text AS name FROM pg_event_trigger
      WHERE evtenabled IN ('O', 'A') AND evtevent IN ('ddl_command_start', 'ddl_command_end', 'table_rewrite') ORDER BY evtname COLLATE "C"`,
  );
  if (rows.length === 0) return [];
  const names = listed(rows.map(({ name }) => showName(name)));
  return [
    `CAREFUL: event triggers of the database run for what is restored, and may alter it: ${names}. Where that is not wanted: ALTER EVENT TRIGGER … DISABLE before, ENABLE after`,
  ];
}

/** What keeps a live schema from giving its name away, for good or for the time of the transaction. */
export function liveProblems(schema: string, live: LiveSchema, database: string): readonly Problem[] {
  if (live.ours) return [];
  return [
    {
      code: 'restore.denied',
      message: `schema ${showName(schema)} of database ${showName(database)} belongs to ${showName(live.owner)}, of which the role that restores is no member, so it cannot be renamed`,
      hint: 'Restore as its owner or as a superuser, or into a new database (--to).',
    },
  ];
}

/** What of a live schema a replacement would leave behind, or take away from others. */
export function tieProblems(schema: string, ties: SchemaTies): readonly Problem[] {
  const name = showName(schema);
  const problems: Problem[] = [];
  const show = (each: Dependent): string => `${each.object} (on ${each.on})`;
  if (ties.dependents.length > 0)
    problems.push({
      code: 'restore.refused',
      message: `${plural(ties.dependents.length, 'object')} outside of schema ${name} would go on using the replaced one: ${listed(ties.dependents.map(show))}`,
      hint: 'Drop them, restore, and make them again; or restore beside the live schema (--to-schema) or into a new database (--to), and copy what is missing.',
    });
  if (ties.heirs.length > 0)
    problems.push({
      code: 'restore.refused',
      message: `tables of schema ${name} are partitions or children of tables outside of it, which would have the rows of the replaced ones and of the restored ones: ${listed(ties.heirs.map(show))}`,
      hint: 'Detach them first (ALTER TABLE … DETACH PARTITION or NO INHERIT), or restore into a new database (--to).',
    });
  if (ties.subscribed.length > 0)
    problems.push({
      code: 'restore.refused',
      message: `tables of schema ${name} are filled by a subscription, which knows them by number and not by name: ${listed(ties.subscribed.map(show))}`,
      hint: 'Drop the subscription first and make it again afterwards, or restore into a new database (--to).',
    });
  const fixed = ties.extensions.filter(({ movable }) => !movable);
  if (fixed.length > 0)
    problems.push({
      code: 'restore.refused',
      message: `extensions live in schema ${name} and cannot be moved out of the replaced one: ${listed(fixed.map((each) => showName(each.name)))}`,
      hint: 'Restore into a new database (--to).',
    });
  return problems;
}

/** What the backup needs of the database that it is restored into. */
export async function needProblems(
  session: Session,
  needs: UnitNeeds,
  schema: string,
  toc: Toc,
  owner: boolean,
): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  const database = showName(session.database);
  const schemas = await namesOf(session, 'SELECT nspname::text AS name FROM pg_namespace');
  const absent = needs.needsSchemas.filter(({ name }) => !schemas.has(name));
  if (absent.length > 0)
    problems.push({
      code: 'restore.refused',
      message: `database ${database} lacks schemas that the backup needs: ${listed(absent.map(({ name, example }) => `${showName(name)} (${example})`))}`,
      hint: 'Restore them first.',
    });
  const there = await session.query<{ name: string; schema: string }>(
    `SELECT e.extname::text AS name, n.nspname::text AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace`,
  );
  const placeOf = new Map(there.map((row) => [row.name, row.schema]));
  for (const need of needs.needsExtensions.filter((each) => each.schema !== schema)) {
    const place = placeOf.get(need.name);
    if (place === need.schema) continue;
    const wanted = `extension ${showName(need.name)} in schema ${showName(need.schema)} (${need.example})`;
    problems.push({
      code: 'restore.refused',
      message: `the backup needs ${wanted}, and database ${database} ${place === undefined ? 'does not have it' : `has it in schema ${showName(place)}`}`,
      hint: `CREATE EXTENSION ${quoteIdentifier(need.name)} SCHEMA ${quoteIdentifier(need.schema)};`,
    });
  }
  for (const entry of toc.entries.filter(({ desc }) => desc === 'EXTENSION')) {
    const place = placeOf.get(entry.tag);
    if (place !== undefined && place !== schema)
      problems.push({
        code: 'restore.refused',
        message: `the backup has extension ${showName(entry.tag)} in schema ${showName(schema)} itself, and database ${database} has it in schema ${showName(place)}`,
        hint: 'Restore into a new database (--to).',
      });
  }
  // Policies and user mappings name roles, owners and grants or not.
  const roles = owner ? rolesNeeded(toc.entries, undefined) : toc.entries.flatMap(rolesNamed);
  const missing = await missingRoles(session, new Set(roles));
  if (missing.length > 0)
    problems.push({
      code: 'restore.roles-missing',
      message: `the server lacks roles that the backup needs: ${listed(showRoles(missing))}`,
      hint: `Create them first (CREATE ROLE … NOLOGIN)${owner ? ', or go without owners and grants: --no-owner' : ''}.`,
    });
  return problems;
}

/** Kinds of entries that take locks of their own when they are made, and how many. A table may bring a TOAST table with its index. */
const locksOf: Readonly<Record<string, number>> = {
  TABLE: 3,
  'MATERIALIZED VIEW': 3,
  INDEX: 1,
  CONSTRAINT: 1,
  SEQUENCE: 1,
  VIEW: 1,
  'FOREIGN TABLE': 1,
};

/** One transaction holds a lock on all that it makes and renames until its end; the server's table of locks has a fixed size. */
export async function lockProblems(
  session: Session,
  entries: readonly TocEntry[],
  replaced: number,
): Promise<readonly Problem[]> {
  const needed = entries.reduce((sum, { desc }) => sum + (locksOf[desc] ?? 0), replaced);
  const { capacity } = await lockHeadroom(session);
  if (needed < capacity) return [];
  return [
    {
      code: 'restore.refused',
      message: `the restore holds up to ${plural(needed, 'lock')} in its one transaction, and the server has room for ${capacity.toLocaleString('en-US')}`,
      hint: 'Raise max_locks_per_transaction (it takes a restart of the server), or restore into a new database (--to).',
    },
  ];
}

async function namesOf(session: Session, sql: string): Promise<ReadonlySet<string>> {
  return new Set((await session.query<{ name: string }>(sql)).map(({ name }) => name));
}
