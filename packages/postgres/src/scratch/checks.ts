import {
  isPgsiloError,
  throwIfAborted,
  toPgsiloError,
  type CheckOutcome,
  type Context,
  type Json,
  type ProofCheck,
} from '@pgsilo/plugin';
import type { ServerSettings } from '../connection.ts';
import { quoteIdentifier } from '../quoting.ts';
import { openSession, type Session } from '../session.ts';

export interface CheckPlace {
  readonly server: ServerSettings;
  /** Undefined: the unit holds several, and each check says in which it runs. */
  readonly database: string | undefined;
  /** Where names without a schema are looked for; undefined: where a session of the database looks. */
  readonly searchPath: string | undefined;
}

/** Longest text of an answer that is shown, in characters. */
const longestShown = 100;
/** Milliseconds that a check is given beyond its time-out, before its session is ended: for a server that does not keep time. */
const patience = 10_000;

/** Runs the checks, each in a session and a read-only transaction of its own. A check that fails, or cannot be run, does not keep the others from running. */
export async function runChecks(
  place: CheckPlace,
  checks: readonly ProofCheck[],
  context: Context,
): Promise<readonly CheckOutcome[]> {
  const outcomes: CheckOutcome[] = [];
  for (const check of checks) {
    const began = performance.now();
    const message = await runCheck(place, check, context);
    throwIfAborted(context.signal);
    const took = performance.now() - began;
    outcomes.push({
      name: check.name,
      took,
      status: message === undefined ? 'ok' : 'failed',
      ...(message === undefined ? {} : { message }),
    });
  }
  return outcomes;
}

/** @returns why it failed. */
async function runCheck(place: CheckPlace, check: ProofCheck, context: Context): Promise<string | undefined> {
  const database = check.database ?? place.database;
  if (database === undefined) return 'it names no database, and the unit holds several: give it a `database`';
  const limit = AbortSignal.timeout(check.timeout + patience);
  let session: Session | undefined;
  try {
    session = await openSession(place.server, {
      database,
      applicationName: 'pgsilo check',
      purpose: `run the check ${JSON.stringify(check.name)}`,
      signal: AbortSignal.any([context.signal, limit]),
    });
    await session.query('SET default_transaction_read_only = on');
    await session.query(
      place.searchPath === undefined
        ? 'RESET search_path'
        : `SET search_path = ${quoteIdentifier(place.searchPath)}`,
    );
    await session.query(`SET statement_timeout = ${Math.ceil(check.timeout)}`);
    await session.query('BEGIN READ ONLY');
    // The extended protocol takes one statement, so that nothing can follow it unseen.
    const query = { text: check.sql, rowMode: 'array', queryMode: 'extended' } as const;
    const { rows, fields } = await session.client.query<unknown[]>(query);
    return judge(rows, fields?.length ?? 0, check.expect);
  } catch (error) {
    throwIfAborted(context.signal);
    if (limit.aborted) return `it took longer than ${check.timeout / 1000} s`;
    return isPgsiloError(error) ? error.message : wordsOf(error, check.timeout);
  } finally {
    await session?.close();
  }
}

function wordsOf(error: unknown, timeout: number): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (code === '57014') return `it took longer than ${timeout / 1000} s`;
  return typeof message === 'string' ? message : toPgsiloError(error).message;
}

function judge(rows: readonly (readonly unknown[])[], columns: number, expected: Json): string | undefined {
  if (rows.length !== 1 || columns !== 1) {
    const times = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
    return `it gave ${times(rows.length, 'row')} of ${times(columns, 'column')}, where it must give one value`;
  }
  const value = rows[0]![0];
  if (textOf(value) === textOf(expected)) return undefined;
  return `it gave ${shown(value)} where ${shown(expected)} is expected`;
}

/** Values meet as text: a count is a text to the driver and a number to YAML. NULL is equal to nothing but null. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'object'
    ? JSON.stringify(value)
    : String(value as string | number | boolean | bigint);
}

function shown(value: unknown): string {
  const text = textOf(value);
  if (text === null) return 'null';
  const cut = text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
  return typeof value === 'string' ? JSON.stringify(cut) : cut;
}
