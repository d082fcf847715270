import { execFileSync } from 'node:child_process';
import pg from 'pg';
import { findTool } from '@pgsilo/postgres';
import type { ThrowawayPostgres } from '@pgsilo/testkit/postgres';

/** Rows whose columns the test knows. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyRow = any;

/** Runs statements in a database as the superuser, or at a connection string. */
export async function sql<Row extends pg.QueryResultRow = AnyRow>(
  server: ThrowawayPostgres,
  name: string,
  text: string,
  url?: string,
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url ?? server.urlOf(name) });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Names of the databases that are no templates. */
export async function databasesOf(server: ThrowawayPostgres): Promise<string[]> {
  return (
    await sql(server, 'postgres', 'SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1')
  ).map((row) => row.datname);
}

/** What pg_dump says of a database, as text that does not differ from call to call. */
export async function textOf(server: ThrowawayPostgres, name: string): Promise<string> {
  const tool = await findTool('pg_dump', server.major, {});
  return execFileSync(tool.command, ['--restrict-key=fixed', '--dbname', server.urlOf(name)], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
}

export function urlFor(
  server: ThrowawayPostgres,
  role: string,
  password: string,
  database = 'postgres',
): string {
  return `postgresql://${encodeURIComponent(role)}:${password}@${server.host}:${server.port}/${encodeURIComponent(database)}`;
}
