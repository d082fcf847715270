import { dirname, resolve } from 'node:path';
import { pack } from 'tar-stream';
import type { Body, ReadContext } from '@pgsilo/plugin';
import type { Session } from '@pgsilo/postgres';
import type { Configuration } from './cluster-file.ts';

/** The artifact with the server's configuration files, under their absolute paths without the first slash; they may lie anywhere. */
export const serverFilesName = 'server-files.tar';

/** A file of more bytes is no configuration. */
const mostBytes = 16 * 2 ** 20;

export interface ServerFiles {
  readonly configuration: Configuration;
  /** By absolute path. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Why there are none, or fewer than there should be; undefined: all were read. */
  readonly problem?: string;
}

const places = {
  data_directory: 'dataDirectory',
  config_file: 'configFile',
  hba_file: 'hbaFile',
  ident_file: 'identFile',
} as const;

/** What a standby, or a server in recovery, refuses to find lower than it was. Every role may read them. */
const limits = [
  'max_connections',
  'max_worker_processes',
  'max_wal_senders',
  'max_prepared_transactions',
  'max_locks_per_transaction',
];

/** Reads the configuration by SQL. What the role may not read is left out and told of in `problem`; throws only when the server is lost. */
export async function readServerFiles(
  session: Session,
  { log }: Pick<ReadContext, 'log'>,
): Promise<ServerFiles> {
  const rows = await session.query<{ name: string; setting: string }>(
    'SELECT name, setting FROM pg_settings WHERE name = ANY ($1)',
    [[...Object.keys(places), ...limits]],
  );
  const values = new Map(rows.map(({ name, setting }) => [name, setting]));
  const where = Object.fromEntries(
    Object.entries(places).flatMap(([name, key]) => {
      const value = values.get(name);
      return value ? [[key, value]] : [];
    }),
  ) as Pick<Configuration, 'dataDirectory' | 'configFile' | 'hbaFile' | 'identFile'>;
  const problems: string[] = [];
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (session.lost.aborted) throw error;
      problems.push((error as Error).message);
      return undefined;
    }
  };
  const settings = await attempt(() => readSettings(session));
  const paths = await attempt(() => configurationPaths(session, where));
  const files = new Map<string, Buffer>();
  const waiting = [...(paths ?? [])];
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    if (files.has(path)) continue;
    const bytes = await attempt(() => readFile(session, path));
    if (!bytes) continue;
    files.set(path, bytes);
    if (path === where.hbaFile || path === where.identFile)
      waiting.push(...namedIn(bytes.toString()).map((name) => resolve(dirname(path), name)));
  }
  if (problems[0]) log.warn(`not all of the server's configuration was read: ${problems[0]}`);
  return {
    configuration: {
      ...where,
      ...(settings ? { settings } : {}),
      limits: Object.fromEntries(limits.map((name) => [name, values.get(name) ?? ''])),
    },
    files,
    ...(problems[0] === undefined ? {} : { problem: problems[0] }),
  };
}

async function readSettings(session: Session): Promise<Record<string, string>> {
  const rows = await session.query<{ name: string; setting: string }>(
    'SELECT name, setting FROM pg_file_settings WHERE applied AND setting IS NOT NULL ORDER BY seqno',
  );
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
}

/** All files that a setting or rule comes from; one that is empty changes nothing and is not among them. */
async function configurationPaths(
  session: Session,
  { configFile, hbaFile, identFile }: Pick<Configuration, 'configFile' | 'hbaFile' | 'identFile'>,
): Promise<ReadonlySet<string>> {
  const own = [configFile, hbaFile, identFile].filter((path) => path !== undefined);
  // Files that pg_hba.conf includes, which it can from 16 on.
  const included =
    session.major >= 16
      ? ' UNION SELECT file_name FROM pg_hba_file_rules UNION SELECT file_name FROM pg_ident_file_mappings'
      : '';
  const rows = await session.query<{ path: string | null }>(
    `SELECT sourcefile AS path FROM pg_file_settings${included}`,
  );
  return new Set([...own, ...rows.flatMap(({ path }) => (path ? [path] : []))]);
}

/** Files that access rules take in, by `@names` or `include rules.conf`; relative to the file that says so, as they stand there. */
export function namedIn(text: string): readonly string[] {
  const lines = text.split('\n').map((line) => line.replace(/#.*$/, ''));
  return lines.flatMap((line) =>
    [...line.matchAll(/(?:(?:^|[\s,])@|^\s*include(?:_if_exists)?\s+)(?:"([^"]+)"|([^\s,"]+))/g)].map(
      ([, quoted, bare]) => (quoted ?? bare)!,
    ),
  );
}

async function readFile(session: Session, path: string): Promise<Buffer> {
  const [row] = await session.query<{ size: string }>('SELECT size::text FROM pg_stat_file($1)', [path]);
  if (Number(row?.size) > mostBytes) throw new Error(`${path} has more than ${mostBytes} bytes`);
  const [file] = await session.query<{ bytes: Buffer }>('SELECT pg_read_binary_file($1) AS bytes', [path]);
  return file!.bytes;
}

/** The files as one tar. */
export function serverFilesBody(files: ReadonlyMap<string, Buffer>): Body {
  const tar = pack();
  for (const [path, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
    // The same bytes from run to run.
    tar.entry({ name: path.replace(/^\/+/, ''), mode: 0o600, mtime: new Date(0) }, bytes);
  tar.finalize();
  return tar as Body;
}
