import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import type {
  ArtifactView, BackupView, ReadContext, RestoreOutcome, RestoreRequest, Source, SourceArtifact, UnitFacts,
} from '@pgsilo/plugin'; // prettier-ignore
import { recordingLogger, testContext, type RecordingLogger } from '@pgsilo/testkit';
import type { ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import plugin from '../src/index.ts';
import { clusterUnit } from '../src/plan.ts';

/** Runs statements in a database, one after another; the rows of the last. */
export async function sql<Row extends object = Record<string, string>>(
  server: Pick<ThrowawayPostgres, 'host' | 'port' | 'user' | 'password'>,
  database: string,
  ...statements: string[]
): Promise<Row[]> {
  const { host, port, user, password } = server;
  const client = new pg.Client({ host, port, user, password, database });
  await client.connect();
  try {
    let rows: Row[] = [];
    for (const statement of statements) ({ rows } = await client.query<Row>(statement));
    return rows;
  } finally {
    await client.end();
  }
}

export async function sourceOf(
  server: Pick<ThrowawayPostgres, 'url'>,
  written: Record<string, unknown> = {},
): Promise<Source> {
  const options = plugin.options.parse({ connection: server.url, ...written });
  return plugin.create(options, { pipeline: 'test', folder: tmpdir(), log: recordingLogger() });
}

/** A backup in files, as the engine would show it to the source. */
export interface TestBackup extends BackupView {
  readonly log: RecordingLogger;
  artifact(name: string): ArtifactView;
  /** The same backup with one artifact's bytes exchanged, or without it. */
  with(name: string, file: string | undefined): Promise<TestBackup>;
}

export interface BackUpOptions {
  readonly written?: Record<string, unknown>;
  /** Told of each artifact before its body is read, and of the bytes that were. */
  readonly onChunk?: (name: string, bytes: number) => Promise<void> | void;
}

const folders: string[] = [];

/** Backs the server up by the source itself. */
export async function backUp(
  server: Pick<ThrowawayPostgres, 'url'>,
  { written = {}, onChunk }: BackUpOptions = {},
): Promise<TestBackup> {
  const log = recordingLogger();
  const context = testContext({ log });
  const source = await sourceOf(server, written);
  const folder = await mkdtemp(join(tmpdir(), 'pgsilo-basebackup-'));
  folders.push(folder);
  const names: Pick<SourceArtifact, 'name' | 'format'>[] = [];
  let facts: UnitFacts | undefined;
  const readContext: ReadContext = { ...context, log, label: 'test', scratch: (n) => context.scratch(n) };
  try {
    for await (const item of source.read({ id: 'cluster', units: [clusterUnit] }, readContext)) {
      if (item.type === 'facts') {
        facts = item.facts;
        continue;
      }
      const { name, format, body } = item;
      names.push({ name, format });
      const told = async function* (): AsyncGenerator<Uint8Array> {
        let bytes = 0;
        for await (const chunk of body) {
          bytes += chunk.length;
          await onChunk?.(name, bytes);
          yield chunk;
        }
      };
      await pipeline(told(), createWriteStream(join(folder, name), { flags: 'wx' }));
    }
  } finally {
    await source.close();
    await context.dispose();
  }
  const views = await Promise.all(names.map(({ name, format }) => viewOf(name, format, join(folder, name))));
  return testBackup(views, JSON.parse(JSON.stringify(facts)) as UnitFacts, log);
}

async function viewOf(name: string, format: ArtifactView['format'], file: string): Promise<ArtifactView> {
  const { size } = await stat(file);
  return { name, format, bytes: size, open: () => createReadStream(file), spool: async () => file };
}

function testBackup(artifacts: readonly ArtifactView[], facts: UnitFacts, log: RecordingLogger): TestBackup {
  return {
    unit: clusterUnit,
    id: '20261121T020000Z-7f3a9c',
    facts,
    artifacts,
    log,
    artifact: (name) => artifacts.find((one) => one.name === name)!,
    async with(name, file) {
      const others = artifacts.filter((one) => one.name !== name);
      const changed = file === undefined ? [] : [await viewOf(name, 'tar', file)];
      return testBackup([...others, ...changed], facts, log);
    },
  };
}

/** Removes the files of all backups. */
export async function removeBackups(): Promise<void> {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
}

/** Prepares, runs and closes a restore. */
export async function restore(
  server: Pick<ThrowawayPostgres, 'url'>,
  backup: BackupView,
  more: Partial<RestoreRequest>,
): Promise<RestoreOutcome & { readonly plan: readonly string[] }> {
  const context = testContext();
  const source = await sourceOf(server);
  const request: RestoreRequest = {
    backup,
    replace: false,
    dropOld: false,
    jobs: 2,
    owner: true,
    step: (_name, work) => work(),
    swap: (_live, work) => work(),
    ...more,
  };
  try {
    const restoration = await source.restore(request, context);
    try {
      return { plan: restoration.plan, ...(await restoration.run()) };
    } finally {
      await restoration.close();
    }
  } finally {
    await source.close();
    await context.dispose();
  }
}

/** All rows of a cluster's tables, by database; what a restored one must give back. */
export async function contentOf(
  server: Pick<ThrowawayPostgres, 'host' | 'port' | 'user' | 'password'>,
): Promise<Record<string, readonly string[]>> {
  const databases = await sql<{ name: string }>(
    server,
    'postgres',
    `SELECT datname AS name FROM pg_database WHERE datallowconn ORDER BY 1`,
  );
  const content: Record<string, readonly string[]> = {};
  for (const { name } of databases) {
    const tables = await sql<{ table: string }>(
      server,
      name,
      `SELECT format('%I.%I', schemaname, tablename) AS table FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)' ORDER BY 1`,
    );
    content[name] = await Promise.all(
      tables.map(async ({ table }) => {
        const [row] = await sql(
          server,
          name,
          `SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') AS all FROM ${table} t`,
        );
        return `${table} ${row!['all']}`;
      }),
    );
  }
  return content;
}
