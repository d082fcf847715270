import { PgsiloError, isPgsiloError, type Context } from '@pgsilo/plugin';
import { listed, quoteIdentifier, showName, sqlState, type Session } from '@pgsilo/postgres';

/** Longest time that one attempt holds some of the locks while it waits for the others, in milliseconds. */
const longestAttempt = 800;
/** Between two attempts, for the clients that waited behind the first one. */
const pause = 200;
/** Cancelled by a time-out; a lock that was not to be had in time; a deadlock. */
const notNow = new Set(['57014', '55P03', '40P01']);

interface Holder {
  readonly pid: number;
  readonly who: string;
  readonly state: string;
  readonly since: string;
}

/**
 * Locks all tables of a schema against everybody, so that no transaction is half on one side of the swap and half on the other: those that run end first, those that come find the
 * restored ones. Attempts end before the server would look for deadlocks, so that no client is ever told of one because of us. Throws `source.lock-timeout`, which says who was in the way.
 * @param schema its name within the transaction
 * @param known the name that others know it by
 * @param timeout in milliseconds, for all attempts.
 */
export async function lockReplaced(
  session: Session,
  schema: string,
  known: string,
  timeout: number,
  context: Pick<Context, 'signal' | 'clock'>,
): Promise<void> {
  const tables = await session.query<{ oid: string; name: string }>(
    `SELECT c.oid::text AS oid, c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') ORDER BY c.oid`,
    [schema],
  );
  if (tables.length === 0) return;
  const names = tables.map(({ name }) => `ONLY ${quoteIdentifier(schema)}.${quoteIdentifier(name)}`);
  const [row] = await session.query<{ deadlock: number }>(
    `SELECT (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000)::int4 AS deadlock`,
  );
  const attempt = Math.max(1, Math.min(longestAttempt, Math.floor(row!.deadlock * 0.8), Math.ceil(timeout)));
  const began = context.clock.now().getTime();
  for (;;) {
    await session.query('SAVEPOINT swap');
    await session.query(`SET LOCAL statement_timeout = ${attempt}`);
    try {
      await session.query(`LOCK TABLE ${names.join(', ')} IN ACCESS EXCLUSIVE MODE`);
      await session.query('SET LOCAL statement_timeout = 0');
      return;
    } catch (error) {
      const state = isPgsiloError(error) ? sqlState(error.cause) : undefined;
      if (state === undefined || !notNow.has(state)) throw error;
      await session.query('ROLLBACK TO SAVEPOINT swap');
      if (context.clock.now().getTime() - began >= timeout)
        throw await blocked(
          session,
          known,
          tables.map(({ oid }) => oid),
          timeout,
          error,
        );
      await context.clock.sleep(pause, context.signal);
    }
  }
}

async function blocked(
  session: Session,
  schema: string,
  oids: readonly string[],
  timeout: number,
  cause: unknown,
): Promise<PgsiloError> {
  const holders = await session.query<Holder>(
    `SELECT DISTINCT a.pid, concat_ws(' ', a.usename, nullif(a.application_name, '')) AS who, coalesce(a.state, '') AS state,
            coalesce(to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '') AS since
       FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1::text[]::oid[]) AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 4, 1`,
    [oids],
  );
  const shown = holders.map(
    ({ pid, who, state, since }) =>
      `process ${pid} (${showName(who)}, ${state}${since && `, in a transaction since ${since}`})`,
  );
  const [first] = holders;
  return new PgsiloError(
    'source.lock-timeout',
    `the tables of schema ${showName(schema)} could not be had for ${Math.round(timeout / 100) / 10} s${shown.length > 0 ? `; in the way: ${listed(shown, 5)}` : ''}`,
    {
      cause,
      hint: `Wait for them or end them${first ? ` (SELECT pg_terminate_backend(${first.pid}))` : ''}, or raise lockTimeout, and restore again.`,
    },
  );
}
