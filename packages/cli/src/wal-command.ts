import { createHash } from 'node:crypto';
import { resolve } from 'node:path';

/**
 * This very command, to fetch write-ahead log, as PostgreSQL's `restore_command`. PostgreSQL takes any status from 1 to 125 for "no such file" and ends recovery early, without an error; a crash of Node exits with 1.
 * So the shell makes 126 of everything but the one status that says it.
 * @param file absolute path of the pipeline file.
 */
export function walFetchCommand(file: string): string {
  return `${words('wal', 'fetch', file)} "%f" "%p" --quiet || { [ $? -eq 44 ] && exit 44; exit 126; }`;
}

/**
 * This very command, to push write-ahead log, as PostgreSQL's `archive_command`. Any status but 0 makes PostgreSQL keep the file and try again.
 * @param file absolute path of the pipeline file.
 */
export function walPushCommand(file: string): string {
  return `${words('wal', 'push', file)} "%p" --quiet`;
}

/** Whether a line is a {@link walPushCommand} for that file: perhaps of another version of pgsilo, or with a Node that lay elsewhere. */
export function isWalPushCommand(line: string, file: string): boolean {
  return line.includes(` 'wal' 'push' ${word(file)} "%p"`);
}

/** Tells the notes of one pipeline from those of another. @param file absolute path of the pipeline file. */
export function placeOf(file: string): string {
  return createHash('sha256').update(file).digest('hex').slice(0, 16);
}

function words(...more: readonly string[]): string {
  return [process.execPath, resolve(process.argv[1] ?? 'pgsilo'), ...more].map(word).join(' ');
}

/** A word for sh. PostgreSQL fills in %f and %p; each other percent sign is doubled. */
export function word(text: string): string {
  return quoted(text).replaceAll('%', '%%');
}

/** For sh, which may be none that knows `$'…'`. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
