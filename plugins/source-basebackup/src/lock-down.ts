import { appendFile, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import type { RecoveryTarget } from '@pgsilo/plugin';
import type { Configuration } from './cluster-file.ts';
import { namedIn } from './server-files.ts';
import type { FileSizes } from './server-manifest.ts';
import type { TargetFolder } from './target-folders.ts';
import { needsLog, targetSettings } from './target-settings.ts';

/** The first line of what is added to `postgresql.auto.conf`. */
export const lockTitle =
  '# pgsilo: this restored server is locked down. Remove this line and all below to let it take over.';

/** Bytes of a socket's path, on the platform that takes fewest (macOS 104, Linux 108), with the zero byte at its end. */
const longestSocket = 103;

/** Whether a server's socket can be in a folder. */
export function socketFits(folder: string): boolean {
  return Buffer.byteLength(join(folder, '.s.PGSQL.65535')) <= longestSocket;
}

/** Settings that say where files of the old server lie, or that name others' files. */
const ofThePlace = new Set(['data_directory', 'hba_file', 'ident_file', 'config_file', 'external_pid_file']);

/**
 * What keeps a copy of a server from acting as the server: it would archive its write-ahead log into the live one's archive, follow its primary, take its replication slots, and run its jobs.
 * It recovers what the backup holds and goes on with a timeline of its own, so that no segment of its can ever be taken for one of the live server's.
 */
function lockSettings(
  data: TargetFolder,
  hba: string,
  ident: string,
  recovery: RecoveryTarget | undefined,
): Readonly<Record<string, string>> {
  return {
    listen_addresses: '',
    ...(socketFits(data.path) ? { unix_socket_directories: data.path } : {}),
    unix_socket_permissions: '0700',
    hba_file: hba,
    ident_file: ident,
    ssl: 'off',
    logging_collector: 'off',
    archive_mode: 'off',
    archive_command: '',
    archive_library: '',
    archive_cleanup_command: '',
    recovery_end_command: '',
    // Without a goal behind it there is nothing but what the backup holds; without any command no recovery begins.
    restore_command: needsLog(recovery) ? recovery.fetchCommand : 'false',
    ...targetSettings(recovery),
    primary_conninfo: '',
    primary_slot_name: '',
    max_logical_replication_workers: '0',
    shared_preload_libraries: '',
    session_preload_libraries: '',
    local_preload_libraries: '',
    autovacuum: 'off',
  };
}

/** Configuration files of the server that was backed up, by absolute path. */
export type ServerTexts = ReadonlyMap<string, Buffer>;

/**
 * Writes what a restored data directory needs to start as a server that is locked down: its settings, where they were kept elsewhere, and the sign that it is to recover.
 * @returns what a person should know.
 */
export async function lockDown(
  data: TargetFolder,
  files: FileSizes,
  configuration: Configuration,
  texts: ServerTexts,
  recovery: RecoveryTarget | undefined,
): Promise<readonly string[]> {
  const warnings: string[] = [];
  const write = async (name: string, content: string | Buffer): Promise<void> => {
    const path = join(data.path, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, content, { mode: 0o600 });
    if (data.owner) await chown(path, data.owner.uid, data.owner.gid);
  };
  /** Path here of access rules that the server read: they lay in its data directory, or are put into ours with the files that they take in. */
  const place = async (was: string | undefined, name: string, otherwise: string): Promise<string> => {
    const inside = insideOf(configuration.dataDirectory, was);
    if (inside !== undefined && files.has(inside)) return join(data.path, inside);
    if (files.has(name)) {
      warnings.push(`${name} is the one in the data directory; the server used ${was ?? 'another'}`);
      return join(data.path, name);
    }
    const rules = was === undefined ? undefined : texts.get(was);
    await write(name, rules ?? otherwise);
    for (const more of namedIn((rules ?? '').toString())) {
      const text = texts.get(resolve(dirname(was!), more));
      const here = insideOf(data.path, resolve(data.path, more));
      if (text && here !== undefined && !isAbsolute(more) && !files.has(here)) await write(here, text);
    }
    return join(data.path, name);
  };
  if (!files.has('postgresql.conf')) {
    await write('postgresql.conf', ownSettings(configuration));
    warnings.push(
      configuration.settings
        ? `postgresql.conf lay outside the data directory (${configuration.configFile}); one with the same settings was written`
        : 'postgresql.conf lay outside the data directory and could not be read when the backup was made; one with the limits of the server was written',
    );
  } else if (configuration.settings?.['data_directory'] !== undefined) {
    await withoutDataDirectory(join(data.path, 'postgresql.conf'));
    warnings.push('the line data_directory of postgresql.conf was made a comment: it names the old place');
  }
  const hbaFile = await place(configuration.hbaFile, 'pg_hba.conf', 'local all all peer\n');
  const identFile = await place(configuration.identFile, 'pg_ident.conf', '');
  const locked = {
    ...lockSettings(data, hbaFile, identFile, recovery),
    // The live server's may be in that place.
    ...(configuration.settings && !('external_pid_file' in configuration.settings)
      ? {}
      : { external_pid_file: join(data.path, 'external.pid') }),
  };
  const lines = Object.entries(locked).map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  const auto = join(data.path, 'postgresql.auto.conf');
  if (!files.has('postgresql.auto.conf')) await write('postgresql.auto.conf', '');
  await appendFile(auto, `\n${lockTitle}\n${lines.join('\n')}\n`);
  // That of a standby that was backed up would be followed first.
  await rm(join(data.path, 'standby.signal'), { force: true });
  await write('recovery.signal', '');
  return warnings;
}

/** The path within the data directory; undefined for one that lies elsewhere. */
function insideOf(dataDirectory: string | undefined, path: string | undefined): string | undefined {
  if (dataDirectory === undefined || path === undefined) return undefined;
  const inside = relative(dataDirectory, path);
  return inside === '' || inside.startsWith('..') || isAbsolute(inside) ? undefined : inside;
}

/** A file of settings with what the old server's files said. */
function ownSettings({ settings, limits }: Configuration): string {
  const all = Object.entries(settings ?? limits).filter(([name]) => !ofThePlace.has(name));
  const lines = all.map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  return `# written by pgsilo from the settings that the server had\n${lines.join('\n')}\n`;
}

async function withoutDataDirectory(path: string): Promise<void> {
  const text = await readFile(path, 'latin1');
  await writeFile(path, text.replaceAll(/^\s*data_directory\b/gim, '#$&'), 'latin1');
}

/** As a file of settings wants it: a backslash begins an escape there, and a value is one line. */
export function quoteSetting(value: string): string {
  return `'${value
    .replaceAll('\\', '\\\\')
    .replaceAll("'", "''")
    .replaceAll('\n', String.raw`\n`)}'`;
}
