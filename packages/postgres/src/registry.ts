import type { QueryArrayResult } from 'pg';
import { PgsiloError, throwIfAborted, type Context } from '@pgsilo/plugin';
import type { ServerSettings } from './connection.ts';
import { translatePostgresError } from './postgres-error.ts';
import { showName } from './quoting.ts';
import { openSession } from './session.ts';

/** A tenant as the registry, a list or a pattern names it. */
export interface Listed {
  readonly unit: string;
  /** Its database or its schema, whichever the source has one of for each tenant. */
  readonly place: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Where it came from, for messages: `row 3 of the registry query`. */
  readonly where: string;
}

/** What the places of a source are; the column of a registry that names them is called so too. */
export type PlaceKind = 'database' | 'schema';

/** Where the list of tenants is kept. */
export interface Registry {
  readonly database: string;
  /** A SELECT whose rows are the tenants. */
  readonly query: string;
}

/** Milliseconds that the registry query may take. */
const queryTimeout = 60_000;

/**
 * The tenants of the registry. Runs the query in a read-only transaction with the search path of role and database, as its author would see it.
 * Throws `source.plan-invalid` for whatever makes the list one that cannot be trusted.
 */
export async function readRegistry(
  settings: ServerSettings,
  registry: Registry,
  kind: PlaceKind,
  context: Pick<Context, 'signal'>,
): Promise<Listed[]> {
  const where = `the registry query in ${showName(registry.database)}`;
  const result = await runQuery(settings, registry, where, context);
  const columns = result.fields.map((field) => field.name);
  const repeated = columns.find((column, index) => columns.indexOf(column) !== index);
  if (repeated !== undefined)
    throw invalidPlan(
      `${where} returns two columns ${showName(repeated)}`,
      'Name each column once, with AS.',
    );
  if (!columns.includes(kind)) {
    throw invalidPlan(
      `${where} returns no column "${kind}", but ${columns.map(showName).join(', ') || 'nothing'}`,
      `Name it: SELECT ${kind === 'database' ? 'db_name' : 'schema_name'} AS ${kind}, …`,
    );
  }
  if (result.rows.length === 0) {
    throw invalidPlan(
      `${where} returned no row`,
      'If there really is no tenant, remove the pipeline from the schedule: a backup of nothing would look like success.',
    );
  }
  return (result.rows as (string | null)[][]).map((row, index) =>
    toListed(columns, kind, row, `row ${index + 1} of ${where}`),
  );
}

function toListed(
  columns: readonly string[],
  kind: PlaceKind,
  row: readonly (string | null)[],
  where: string,
): Listed {
  const value = (column: string): string | null => row[columns.indexOf(column)] ?? null;
  const place = value(kind);
  if (place === null || place === '')
    throw invalidPlan(
      `${where}: the ${kind} is ${place === null ? 'NULL' : 'empty'}`,
      'Leave such rows out with WHERE.',
    );
  const unit = columns.includes('unit') ? value('unit') : place;
  if (unit === null || unit === '') {
    throw invalidPlan(
      `${where} (${kind} ${showName(place)}): the unit is ${unit === null ? 'NULL' : 'empty'}`,
      'Use coalesce(…) AS unit.',
    );
  }
  const labels = columns.flatMap((column, index) => {
    const text = row[index];
    return column === kind || column === 'unit' || text == null ? [] : [[column, text] as const];
  });
  return { unit, place, labels: Object.fromEntries(labels), where };
}

async function runQuery(
  settings: ServerSettings,
  { database, query }: Registry,
  where: string,
  context: Pick<Context, 'signal'>,
): Promise<QueryArrayResult> {
  try {
    const session = await openSession(settings, {
      database,
      applicationName: 'pgsilo plan',
      purpose: 'read the registry',
      signal: context.signal,
    });
    try {
      await session.query('BEGIN TRANSACTION READ ONLY');
      await session.query(`SET LOCAL statement_timeout = ${queryTimeout}`);
      await session.query('SET LOCAL search_path TO DEFAULT');
      // The extended protocol takes one statement only: no COMMIT can follow the first and leave the read-only transaction.
      const asText = { getTypeParser: () => (text: string | Buffer) => String(text) };
      const result = await session.client.query({
        text: query,
        rowMode: 'array',
        queryMode: 'extended',
        types: asText,
      } as never);
      await session.query('ROLLBACK');
      return result as unknown as QueryArrayResult;
    } finally {
      await session.close();
    }
  } catch (error) {
    throwIfAborted(context.signal);
    const translated = translatePostgresError(error, `${where} failed`);
    if (translated.code === 'source.unreachable' || translated.code === 'source.denied') throw translated;
    throw new PgsiloError('source.plan-invalid', translated.message, {
      cause: error,
      hint:
        translated.code === 'source.unit-missing'
          ? 'Correct registry.database: the name of the database that the query runs in.'
          : 'Try the query with psql, as the role of the pipeline.',
    });
  }
}

/** A list with two of a name would put two tenants into one place; one with a reserved name would hide a tenant among pgsilo's own. */
export function refuseBadNames(listed: readonly Listed[], kind: PlaceKind): void {
  const units = new Map<string, Listed>();
  const places = new Map<string, Listed>();
  for (const one of listed) {
    const { unit, place, where } = one;
    if (unit.startsWith('@') || unit.startsWith('_')) {
      throw invalidPlan(
        `${where}: the unit ${showName(unit)} begins with ${unit[0]}, which is reserved`,
        'Give it another name with a column "unit", or exclude it.',
      );
    }
    const sameUnit = units.get(unit);
    if (sameUnit) {
      throw invalidPlan(
        `${where} and ${sameUnit.where} are one unit, ${showName(unit)} (${kind}s ${showName(place)} and ${showName(sameUnit.place)})`,
        'Each tenant needs a unit name of its own.',
      );
    }
    const samePlace = places.get(place);
    if (samePlace) {
      throw invalidPlan(
        `${where} and ${samePlace.where} name one ${kind}, ${showName(place)} (units ${showName(unit)} and ${showName(samePlace.unit)})`,
        'Use SELECT DISTINCT, or correct the registry.',
      );
    }
    units.set(unit, one);
    places.set(place, one);
  }
}

/** A list of units that cannot be trusted. */
export function invalidPlan(message: string, hint?: string): PgsiloError {
  return new PgsiloError('source.plan-invalid', message, hint === undefined ? {} : { hint });
}
