import { resolve } from 'node:path';

/**
 * This very command, to fetch write-ahead log, as PostgreSQL's `restore_command`. PostgreSQL takes any status from 1 to 125 for "no such file" and ends recovery early, without an error; a crash of Node exits with 1.
 * So the shell makes 126 of everything but the one status that says it.
 * @param file absolute path of the pipeline file.
 */
export function walFetchCommand(file: string): string {
  const words = [process.execPath, resolve(process.argv[1] ?? 'pgsilo'), 'wal', 'fetch', file];
  // PostgreSQL fills in %f and %p; each other percent sign is doubled.
  const command = words.map((word) => quoted(word).replaceAll('%', '%%')).join(' ');
  return `${command} "%f" "%p" --quiet || { [ $? -eq 44 ] && exit 44; exit 126; }`;
}

/** For sh, which may be none that knows `$'…'`. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
