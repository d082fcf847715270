import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { removeServer } from './leftovers.ts';
import { serverFolder, startPostgres } from './server.ts';

/** A database of its own for a test. */
export interface FreshDatabase {
  readonly name: string;
  readonly url: string;
  /** Runs statements in it, as superuser. */
  query<Row extends object = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
  drop(): Promise<void>;
}

/** One server that many tests use, each with databases of its own. */
export interface SharedPostgres {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly major: number;
  readonly bin: string;
  readonly dataFolder: string;
  readonly socketFolder: string;
  urlOf(database: string): string;
  /** Makes an empty database. `options` are those of CREATE DATABASE: `TEMPLATE template0 ENCODING 'LATIN1'`. */
  freshDatabase(prefix: string, options?: string): Promise<FreshDatabase>;
}

type Facts = Omit<SharedPostgres, 'urlOf' | 'freshDatabase'>;

let shared: Promise<SharedPostgres> | undefined;

/**
 * The server of this test run: the same for all workers of one vitest, ended within a second after it; outside vitest, of this process.
 * Roles and other things of the whole server are seen by all tests: a test that changes them starts one of its own.
 */
export function sharedPostgres(): Promise<SharedPostgres> {
  shared ??= connect();
  return shared;
}

async function connect(): Promise<SharedPostgres> {
  const facts = process.env['VITEST'] ? await ofTestRun(process.ppid) : await start(process.pid);
  const urlOf = (database: string): string =>
    `postgresql://${facts.user}:${facts.password}@${facts.host}:${facts.port}/${encodeURIComponent(database)}`;
  return {
    ...facts,
    urlOf,
    freshDatabase: (prefix, options) => freshDatabase(facts.url, urlOf, prefix, options),
  };
}

/** The first worker starts the server, the others wait for its file. */
async function ofTestRun(owner: number): Promise<Facts> {
  const folder = serverFolder(`shared-${owner}`);
  const file = join(folder, 'server.json');
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (claim(folder)) {
      const facts = await start(owner, folder);
      writeFileSync(`${file}.new`, JSON.stringify(facts), { mode: 0o600 });
      renameSync(`${file}.new`, file);
      return facts;
    }
    const facts = readFacts(file);
    if (facts && (await answers(facts))) return facts;
    // Of an earlier run whose process had the same number, or of a worker that was killed while starting.
    if (facts || ageOf(folder) > 30_000) removeServer(folder);
    else await sleep(50);
  }
  throw new Error('the shared PostgreSQL server of this test run did not start');
}

function claim(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function start(owner: number, folder?: string): Promise<Facts> {
  const server = await startPostgres({ owner, ...(folder === undefined ? {} : { folder }) });
  const { url, host, port, user, password, major, bin, dataFolder, socketFolder } = server;
  return { url, host, port, user, password, major, bin, dataFolder, socketFolder };
}

function readFacts(file: string): Facts | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Facts;
  } catch {
    return undefined;
  }
}

function ageOf(path: string): number {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

async function answers(facts: Facts): Promise<boolean> {
  try {
    await onServer(facts.url, (client) => client.query('SELECT 1'));
    return true;
  } catch {
    return false;
  }
}

async function freshDatabase(
  serverUrl: string,
  urlOf: (database: string) => string,
  prefix: string,
  options = '',
): Promise<FreshDatabase> {
  const name = `${prefix}_${crypto.randomUUID().slice(0, 8)}`;
  const quoted = pg.escapeIdentifier(name);
  await onServer(serverUrl, (client) => client.query(`CREATE DATABASE ${quoted} ${options}`));
  const url = urlOf(name);
  return {
    name,
    url,
    query: (sql, values) =>
      onServer(url, async (client) => (await client.query(sql, values && [...values])).rows),
    drop: () =>
      onServer(
        serverUrl,
        async (client) => void (await client.query(`DROP DATABASE IF EXISTS ${quoted} WITH (FORCE)`)),
      ),
  };
}

async function onServer<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
