import type pg from 'pg';
import { abortReason, PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import { connectClient } from './connect.ts';
import { describeServer, withAddress, withDatabase, type ServerSettings } from './connection.ts';
import { translatePostgresError } from './postgres-error.ts';
import { showName } from './quoting.ts';

export interface SessionOptions {
  /** Default: the database of the settings. */
  readonly database?: string;
  /** What a person sees in pg_stat_activity; the server cuts it at 63 bytes. */
  readonly applicationName: string;
  /** What the session is for, as an infinitive for messages: `list the databases`. */
  readonly purpose: string;
  /** Ends the session and whatever it is doing. */
  readonly signal?: AbortSignal;
}

/** One server session with settings that nothing outside can change: no time-outs, `search_path` is `pg_catalog`, UTC and ISO dates. */
export interface Session {
  /** The settings, narrowed to the address that answered. */
  readonly settings: ServerSettings;
  readonly database: string;
  /** `15.18` */
  readonly serverVersion: string;
  /** `15` */
  readonly major: number;
  /** Process id of the server's backend. */
  readonly pid: number;
  /** Whether something between us and the server, such as PgBouncer, hands out its connections. */
  readonly pooled: boolean;
  /** For copying and other things that `query` cannot do; its errors are not translated. */
  readonly client: pg.Client;
  /** Aborted when the session ended without `close()`. */
  readonly lost: AbortSignal;
  /** Runs one statement and returns its rows; calls that overlap run one after another. Throws `PgsiloError`. */
  query<Row extends object = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
  /** Ends the session; never throws. */
  close(): Promise<void>;
}

/**
 * Session settings, each where the server knows it. Time-outs of the role or database would kill a long backup; `row_security` would leave out rows without a word.
 * A database that was made read-only by default, as people do after an accident, is what a restore writes into; what only reads says so itself.
 * The server looks every few seconds whether we are still there, so that a query of a dead client does not run for hours.
 */
const sessionSettings: Readonly<Record<string, string>> = {
  search_path: 'pg_catalog',
  statement_timeout: '0',
  lock_timeout: '0',
  transaction_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  client_encoding: 'UTF8',
  datestyle: 'ISO, YMD',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  xmloption: 'content',
  standard_conforming_strings: 'on',
  row_security: 'off',
  default_transaction_deferrable: 'off',
  default_transaction_read_only: 'off',
  tcp_keepalives_idle: '60',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '6',
};

const closeTimeout = 2000;

/** Connects and sets the session up. Throws `source.unreachable`, `source.denied`, `source.unit-missing`, `config.invalid`. */
export async function openSession(settings: ServerSettings, options: SessionOptions): Promise<Session> {
  if (options.signal) throwIfAborted(options.signal);
  const database = options.database ?? settings.database;
  const about = `${showName(database)} on ${describeServer(settings)} as ${showName(settings.user)}`;
  const doing = `cannot ${options.purpose} (database ${about})`;
  try {
    const { client, address } = await connectClient(
      withDatabase(settings, database),
      options.applicationName,
      options.signal,
    );
    try {
      const identity = await setUp(client);
      return new OpenSession(
        client,
        withAddress(settings, address),
        database,
        identity,
        doing,
        options.signal,
      );
    } catch (error) {
      await endClient(client);
      throw error;
    }
  } catch (error) {
    if (options.signal?.aborted) throw abortReason(options.signal);
    throw translatePostgresError(error, doing);
  }
}

interface Identity {
  readonly version: string;
  readonly number: number;
  readonly pid: number;
}

async function setUp(client: pg.Client): Promise<Identity> {
  const result = await client.query<Identity & { version_text: string }>(
    `SELECT pg_catalog.pg_backend_pid() AS pid, pg_catalog.current_setting('server_version') AS version,
            pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS number,
            (SELECT pg_catalog.count(pg_catalog.set_config(s.name, s.value, false))
               FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS s (name, value)
              WHERE pg_catalog.current_setting(s.name, true) IS NOT NULL) AS set`,
    [Object.keys(sessionSettings), Object.values(sessionSettings)],
  );
  // Not on every platform of a server; where it is refused, TCP keepalives find a dead client later.
  await client.query(`SET client_connection_check_interval = '2s'`).catch(() => undefined);
  return result.rows[0]!;
}

class OpenSession implements Session {
  readonly client: pg.Client;
  readonly settings: ServerSettings;
  readonly database: string;
  readonly serverVersion: string;
  readonly major: number;
  readonly pid: number;
  readonly pooled: boolean;
  readonly #doing: string;
  readonly #signal: AbortSignal | undefined;
  readonly #lost: AbortController = new AbortController();
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(
    client: pg.Client,
    settings: ServerSettings,
    database: string,
    identity: Identity,
    doing: string,
    signal: AbortSignal | undefined,
  ) {
    this.client = client;
    this.settings = settings;
    this.database = database;
    // Distributions append their own name: "15.18 (Debian 15.18-0+deb12u1)".
    this.serverVersion = identity.version.split(' ')[0]!;
    this.major = Math.floor(identity.number / 10_000);
    this.pid = identity.pid;
    // A pooler answers the login itself and makes up the process id that goes with it.
    this.pooled = (client as unknown as { processID: number | null }).processID !== identity.pid;
    this.#doing = doing;
    this.#signal = signal;
    // Without a listener an error between two queries would end the process.
    client.on('error', (error: Error) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('Connection terminated unexpectedly')));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  query<Row extends object>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
    const run = this.#queue.then(() => this.#run<Row>(sql, values));
    this.#queue = run.catch(() => undefined);
    return run;
  }

  async #run<Row extends object>(sql: string, values: readonly unknown[] | undefined): Promise<Row[]> {
    if (this.#signal?.aborted) throw abortReason(this.#signal);
    if (this.#closed) throw new PgsiloError('internal', `${this.#doing}: the session was closed already`);
    if (this.lost.aborted) throw translatePostgresError(this.lost.reason, this.#doing);
    try {
      const result = await this.client.query<Row>(sql, values === undefined ? undefined : [...values]);
      return result.rows;
    } catch (error) {
      if (this.#signal?.aborted) throw abortReason(this.#signal);
      throw translatePostgresError(error, this.#doing);
    }
  }

  #lose(error: Error): void {
    if (!this.#closed) this.#lost.abort(error);
  }

  #onAbort = (): void => {
    streamOf(this.client).destroy();
  };

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    await endClient(this.client);
  }
}

async function endClient(client: pg.Client): Promise<void> {
  client.on('error', () => undefined);
  const timer = setTimeout(() => streamOf(client).destroy(), closeTimeout);
  try {
    await client.end();
  } catch {
    streamOf(client).destroy();
  } finally {
    clearTimeout(timer);
  }
}

function streamOf(client: pg.Client): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
}

/**
 * Ends the sessions that carry exactly this application_name and belong to our role, whoever opened them: killing a client program
 * that runs on another machine leaves its session at work. Returns how many there were once they are gone; gives up after `timeout` milliseconds.
 */
export async function terminateSessions(
  settings: ServerSettings,
  applicationName: string,
  timeout = 10_000,
): Promise<number> {
  const signal = AbortSignal.timeout(timeout);
  const purpose = `end the sessions of ${JSON.stringify(applicationName)}`;
  const session = await openSession(settings, { applicationName: 'pgsilo cleanup', purpose, signal });
  try {
    const rows = await session.query<{ ended: boolean }>(
      `SELECT pg_terminate_backend(pid, $2) AS ended FROM pg_stat_activity
        WHERE application_name = $1 AND usename = session_user AND pid <> pg_backend_pid()`,
      [applicationName, Math.ceil(timeout / 2)],
    );
    return rows.filter((row) => row.ended).length;
  } finally {
    await session.close();
  }
}
