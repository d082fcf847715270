import type { QueryArrayResult } from 'pg';
import { PgsiloError, throwIfAborted, type Context } from '@pgsilo/plugin';
import { openSession, showName, translatePostgresError } from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** A tenant as the registry, a list or a pattern names it. */
export interface Listed {
  readonly unit: string;
  readonly database: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Where it came from, for messages: `row 3 of the registry query`. */
  readonly where: string;
}

/** Milliseconds that the registry query may take. */
const queryTimeout = 60_000;

/**
 * The tenants of the registry. Runs the query in a read-only transaction with the search path of role and database, as its author would see it.
 * Throws `source.plan-invalid` for whatever makes the list one that cannot be trusted.
 */
export async function readRegistry(setup: SourceSetup, context: Context): Promise<Listed[]> {
  const { database, query } = setup.options.registry!;
  const where = `the registry query in ${showName(database)}`;
  const result = await runQuery(setup, database, query, where, context);
  const columns = result.fields.map((field) => field.name);
  const repeated = columns.find((column, index) => columns.indexOf(column) !== index);
  if (repeated !== undefined)
    throw invalid(`${where} returns two columns ${showName(repeated)}`, 'Name each column once, with AS.');
  if (!columns.includes('database')) {
    throw invalid(
      `${where} returns no column "database", but ${columns.map(showName).join(', ') || 'nothing'}`,
      'Name it: SELECT db_name AS database, …',
    );
  }
  if (result.rows.length === 0) {
    throw invalid(
      `${where} returned no row`,
      'If there really is no tenant, remove the pipeline from the schedule: a backup of nothing would look like success.',
    );
  }
  return (result.rows as (string | null)[][]).map((row, index) =>
    toListed(columns, row, `row ${index + 1} of ${where}`),
  );
}

function toListed(columns: readonly string[], row: readonly (string | null)[], where: string): Listed {
  const value = (column: string): string | null => row[columns.indexOf(column)] ?? null;
  const database = value('database');
  if (database === null || database === '')
    throw invalid(
      `${where}: the database is ${database === null ? 'NULL' : 'empty'}`,
      'Leave such rows out with WHERE.',
    );
  const unit = columns.includes('unit') ? value('unit') : database;
  if (unit === null || unit === '') {
    throw invalid(
      `${where} (database ${showName(database)}): the unit is ${unit === null ? 'NULL' : 'empty'}`,
      'Use coalesce(…, db_name) AS unit.',
    );
  }
  const labels = columns.flatMap((column, index) => {
    const text = row[index];
    return column === 'database' || column === 'unit' || text == null ? [] : [[column, text] as const];
  });
  return { unit, database, labels: Object.fromEntries(labels), where };
}

async function runQuery(
  setup: SourceSetup,
  database: string,
  query: string,
  where: string,
  context: Context,
): Promise<QueryArrayResult> {
  try {
    const session = await openSession(setup.settings, {
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

export function invalid(message: string, hint?: string): PgsiloError {
  return new PgsiloError('source.plan-invalid', message, hint === undefined ? {} : { hint });
}
