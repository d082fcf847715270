import { PgsiloError } from '@pgsilo/plugin';

/** Longest identifier of PostgreSQL, in bytes; the server cuts longer ones without an error. */
export const longestIdentifier = 63;

/** The name as an SQL identifier, always in double quotes. Throws `internal` for a NUL, which no name of PostgreSQL can hold. */
export function quoteIdentifier(name: string): string {
  refuseNul(name);
  return `"${name.replaceAll('"', '""')}"`;
}

/** The text as an SQL string literal; right whatever `standard_conforming_strings` is. Throws `internal` for a NUL. */
export function quoteLiteral(value: string): string {
  refuseNul(value);
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/**
 * A libpq connection string of keywords and values: `dbname='acme'`. The only form in which a database's name may reach a client program:
 * as a bare argument one that holds `=`, or begins with `-` or `postgres://`, is read as something else.
 */
export function conninfo(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .map(([keyword, value]) => {
      refuseNul(value);
      return `${keyword}='${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
    })
    .join(' ');
}

/**
 * `stem` followed by `suffix`, the stem cut on a character's boundary so that the whole fits into an identifier.
 * Throws `internal` when the suffix alone does not fit.
 */
export function fitIdentifier(stem: string, suffix: string): string {
  const room = longestIdentifier - Buffer.byteLength(suffix);
  if (room < 0)
    throw new PgsiloError(
      'internal',
      `a suffix of ${Buffer.byteLength(suffix)} bytes does not fit into an identifier`,
    );
  let kept = '';
  let bytes = 0;
  for (const character of stem) {
    bytes += Buffer.byteLength(character);
    if (bytes > room) break;
    kept += character;
  }
  return kept + suffix;
}

/** The name for people: as it is when it is plain, else in quotes with escapes, so that it cannot forge a second line of a message. */
export function showName(name: string): string {
  return /^[\p{L}\p{N}_$@.-]+$/u.test(name)
    ? name
    : JSON.stringify(name).replaceAll(/\p{C}/gu, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

function refuseNul(text: string): void {
  if (text.includes('\0'))
    throw new PgsiloError('internal', 'a name or value for PostgreSQL holds a NUL character');
}
