import { textDecoder } from '@pgsilo/postgres';
import { invalidDump } from './errors.ts';

/** A line for psql that pg_dumpall writes. All others are refused. */
export type Command =
  /** Keeps psql from running any other command until it gets the key again. Where restores run psql, they give it a key of their own. */
  | { readonly name: 'restrict' | 'unrestrict' }
  /** Stands before a `\connect` to a name that is not plain ASCII; a new session begins right behind it. */
  | { readonly name: 'encoding' }
  | { readonly name: 'connect'; readonly database: string };

/** Names of databases are bytes of no known encoding; nearly always they are UTF-8. */
export const decodeName: (bytes: Uint8Array) => string = textDecoder('SQL_ASCII');

/** Reads a line that begins with a backslash, its end included. */
export function readCommand(line: Buffer): Command {
  const text = line.toString('latin1').replace(/\n$/, '');
  const [, key] = /^\\(restrict|unrestrict) [A-Za-z0-9]+$/.exec(text) ?? [];
  if (key) return { name: key as 'restrict' | 'unrestrict' };
  if (/^\\encoding [A-Za-z0-9_]+$/.test(text)) return { name: 'encoding' };
  const [, plain] = /^\\connect ([A-Za-z0-9_.]+)$/.exec(text) ?? [];
  if (plain) return { name: 'connect', database: plain };
  const [, quoted] = /^\\connect "((?:[^"]|"")+)"$/.exec(text) ?? [];
  if (quoted) return { name: 'connect', database: toName(quoted.replaceAll('""', '"')) };
  const [, string] = /^\\connect -reuse-previous=on "((?:[^"]|"")+)"$/.exec(text) ?? [];
  const [, value] = /^dbname='((?:[^'\\]|\\['\\])+)'$/.exec(string?.replaceAll('""', '"') ?? '') ?? [];
  if (value) return { name: 'connect', database: toName(value.replaceAll(/\\(.)/gs, '$1')) };
  throw invalidDump(
    `there is a command of psql that pg_dumpall does not write: ${JSON.stringify(text.slice(0, 60))}`,
  );
}

function toName(latin: string): string {
  return decodeName(Buffer.from(latin, 'latin1'));
}
