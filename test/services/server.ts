import { startPostgres, type StartOptions, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** A throwaway server with short ways to run SQL on it, and a folder for files of a test. */
export interface TestServer extends ThrowawayPostgres {
  readonly folder: string;
  // What is in it is the test's to say.
  // oxlint-disable-next-line typescript/no-explicit-any
  query<Row extends object = Record<string, any>>(
    database: string,
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
  /** A session that stays open until `end()`. */
  session(database: string, user?: { readonly name: string; readonly password: string }): Promise<pg.Client>;
  databases(): Promise<string[]>;
  /** Sessions of pgsilo and of the client programs that it starts. */
  sessionsOfPgsilo(): Promise<string[]>;
}

/** Starts a server of its own for a test file: roles, settings and what is left running are seen by nobody else. */
export async function startServer(options: StartOptions = {}): Promise<TestServer> {
  const server = await startPostgres(options);
  const folder = mkdtempSync(join(tmpdir(), 'pgsilo-test-'));
  const session: TestServer['session'] = async (database, user) => {
    const { host, port } = server;
    const { name, password } = user ?? { name: server.user, password: server.password };
    const client = new pg.Client({ host, port, user: name, password, database });
    // A restore may end the session of an idle client; the next query says so.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const query: TestServer['query'] = async (database, sql, values) => {
    const client = await session(database);
    try {
      return (await client.query(sql, values && [...values])).rows;
    } finally {
      await client.end();
    }
  };
  return {
    ...server,
    folder,
    session,
    query,
    async databases() {
      const rows = await query(
        'postgres',
        'SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1',
      );
      return rows.map((row) => row['datname'] as string);
    },
    async sessionsOfPgsilo() {
      const rows = await query(
        'postgres',
        `SELECT application_name || ' in ' || coalesce(datname, '') || ': ' || query AS what FROM pg_stat_activity
         WHERE application_name LIKE 'pgsilo%' OR application_name IN ('pg_dump', 'pg_restore', 'pg_dumpall')`,
      );
      return rows.map((row) => row['what'] as string);
    },
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until `found` returns something true; throws with `what` after `seconds`. */
export async function until<Found>(
  what: string,
  found: () => Promise<Found> | Found,
  seconds = 20,
): Promise<NonNullable<Found>> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await found();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await sleep(50);
  }
}
