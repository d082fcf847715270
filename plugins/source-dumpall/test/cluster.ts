import { execFileSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackupView, RestoreOutcome, RestoreRequest, Setup, Source, UnitFacts } from '@pgsilo/plugin';
import { conninfo, createSetup, openSession, parseConnection } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import type { ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { options } from '../src/options.ts';
import { clusterUnit } from '../src/plan.ts';
import { prepareRestore } from '../src/restore.ts';
import type { SourceSetup } from '../src/setup.ts';
import { createSource } from '../src/source.ts';

/** Runs statements in a database as the superuser, with `public` in the search path; each may be several. */
export async function sql<Row extends object = Record<string, unknown>>(
  server: ThrowawayPostgres,
  database: string,
  ...statements: string[]
): Promise<Row[]> {
  const session = await openSession(parseConnection(server.url), {
    database,
    applicationName: 'fixture',
    purpose: 'prepare a test',
  });
  try {
    await session.query('SET search_path = public');
    let rows: Row[] = [];
    for (const statement of statements) rows = await session.query<Row>(statement);
    return rows;
  } finally {
    await session.close();
  }
}

/** Names of the databases that are not of every server. */
export async function databasesOf(server: ThrowawayPostgres): Promise<string[]> {
  const rows = await sql<{ name: string }>(
    server,
    'postgres',
    `SELECT datname::text AS name FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1') ORDER BY 1`,
  );
  return rows.map((row) => row.name);
}

function run(server: ThrowawayPostgres, program: string, database: string, args: readonly string[]): string {
  const { host, user, port } = server;
  const connection = conninfo({ host, user, port: String(port), dbname: database });
  return execFileSync(join(server.bin, program), [...args, '--no-password', `--dbname=${connection}`], {
    // What is not of one encoding must come through as it is.
    encoding: 'latin1',
    maxBuffer: 1e9,
    env: { PGPASSWORD: server.password },
  });
}

/** What pg_dump says of a database, its own settings included, under a name that is the same for all. */
export function textOf(server: ThrowawayPostgres, database: string): string {
  return run(server, 'pg_dump', database, ['--restrict-key=fixed']);
}

/** What pg_dump says of the database itself: owner, grants, settings, comment. */
export function settingsOf(server: ThrowawayPostgres, database: string): string[] {
  const text = run(server, 'pg_dump', database, ['--restrict-key=fixed', '--create', '--schema-only']);
  const name = /^CREATE DATABASE ((?:"(?:[^"]|"")+"|\w+)) /m.exec(text)![1]!;
  return text
    .split('\n')
    .filter((line) => / DATABASE /.test(line) && !line.startsWith('--'))
    .map((line) => line.replaceAll(name, 'X'));
}

/** All roles with their passwords, settings and memberships. */
export function rolesOf(server: ThrowawayPostgres): string {
  return run(server, 'pg_dumpall', 'postgres', ['--roles-only', '--restrict-key=fixed']);
}

/** What pg_dumpall writes. */
export function dumpOf(server: ThrowawayPostgres, ...args: string[]): Buffer {
  return Buffer.from(run(server, 'pg_dumpall', 'postgres', args), 'latin1');
}

/** A backup in a file, as the engine would show it to the source. */
export interface TestBackup extends BackupView {
  readonly file: string;
  /** The same backup with other bytes. */
  with(content: Uint8Array | string): Promise<TestBackup>;
}

const folders: string[] = [];

/** The source of a server, as the engine makes it from what a person wrote. */
export function sourceOf(server: ThrowawayPostgres, written: Record<string, unknown> = {}): Source {
  return createSource(options.parse({ connection: server.url, ...written }), setupGiven());
}

/** What the parts of the source work with. */
export function setupOf(server: ThrowawayPostgres, written: Record<string, unknown> = {}): SourceSetup {
  return createSetup(options.parse({ connection: server.url, ...written }), setupGiven());
}

function setupGiven(): Setup {
  return { pipeline: 'test', folder: tmpdir(), log: testContext().log };
}

/** Backs up a server by the source itself. */
export async function backUp(
  server: ThrowawayPostgres,
  written: Record<string, unknown> = {},
): Promise<TestBackup> {
  const context = testContext();
  const source = sourceOf(server, written);
  const file = await newFile();
  let facts: UnitFacts | undefined;
  try {
    for await (const item of source.read(
      { id: 'cluster', units: [clusterUnit] },
      { ...context, label: 'test' },
    )) {
      if (item.type === 'facts') facts = item.facts;
      else await writeFile(file, item.body);
    }
  } finally {
    await source.close();
    await context.dispose();
  }
  return viewOf(file, facts!);
}

async function newFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-dumpall-'));
  folders.push(folder);
  return join(folder, 'cluster.sql');
}

async function viewOf(file: string, facts: UnitFacts): Promise<TestBackup> {
  const { size } = await stat(file);
  const artifact = {
    name: 'cluster.sql',
    format: 'sql',
    bytes: size,
    open: () => createReadStream(file),
    spool: () => Promise.resolve(file),
  } as const;
  return {
    unit: clusterUnit,
    id: '20261121T020000Z-7f3a9c',
    facts,
    artifacts: [artifact],
    file,
    with: async (content) => {
      const other = await newFile();
      await writeFile(other, content);
      return viewOf(other, facts);
    },
  };
}

/** Removes the files of all backups. */
export async function removeBackups(): Promise<void> {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
}

/** What a person asked for: a restore of the backup with nothing chosen. */
export function request(backup: BackupView, more: Partial<RestoreRequest> = {}): RestoreRequest {
  return {
    backup,
    replace: false,
    dropOld: false,
    jobs: 1,
    owner: true,
    step: (_name, work) => work(),
    swap: (_live, work) => work(),
    ...more,
  };
}

/** Prepares, runs and closes a restore into a server. */
export async function restore(
  server: ThrowawayPostgres,
  backup: BackupView,
  more: Partial<RestoreRequest> = {},
  written: Record<string, unknown> = {},
): Promise<RestoreOutcome & { readonly plan: readonly string[] }> {
  const context = testContext();
  const setup = setupOf(server, written);
  try {
    const restoration = await prepareRestore(setup, request(backup, more), context);
    try {
      return { plan: restoration.plan, ...(await restoration.run()) };
    } finally {
      await restoration.close();
    }
  } finally {
    await context.dispose();
  }
}
