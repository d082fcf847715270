import { isWord, nameOf, type DatabaseLocale, type Token } from '@pgsilo/postgres';
import { invalidDump } from './errors.ts';

/** How a database was made, as pg_dump says it. */
export interface DatabaseCreation {
  readonly locale: DatabaseLocale;
  /** Undefined: the server's default one. */
  readonly tablespace: string | undefined;
}

/** Reads `CREATE DATABASE … WITH TEMPLATE = template0 ENCODING = 'UTF8' …`. */
export function readCreation(statement: readonly Token[]): DatabaseCreation {
  const name = nameOf(statement[2]) ?? '';
  const said = new Map<string, string>();
  if (statement.length > 3 && !isWord(statement[3], 'WITH')) throw unknown(name);
  for (let at = 4; at < statement.length; at += 3) {
    const [key, equals, value] = statement.slice(at, at + 3);
    if (key?.kind !== 'word' || equals?.value !== '=' || value === undefined) throw unknown(name);
    said.set(key.value.toUpperCase(), value.value);
  }
  const encoding = said.get('ENCODING');
  const provider = said.get('LOCALE_PROVIDER') ?? 'libc';
  const collate = said.get('LC_COLLATE') ?? said.get('LOCALE');
  const ctype = said.get('LC_CTYPE') ?? said.get('LOCALE');
  if (encoding === undefined || collate === undefined || ctype === undefined) throw unknown(name);
  if (provider !== 'libc' && provider !== 'icu' && provider !== 'builtin') throw unknown(name);
  const locale = said.get('ICU_LOCALE') ?? said.get('BUILTIN_LOCALE');
  const icuRules = said.get('ICU_RULES');
  return {
    locale: {
      name,
      encoding,
      localeProvider: provider,
      collate,
      ctype,
      ...(locale === undefined ? {} : { locale }),
      ...(icuRules === undefined ? {} : { icuRules }),
    },
    tablespace: said.get('TABLESPACE'),
  };
}

function unknown(name: string): Error {
  return invalidDump(`it is not understood how database ${JSON.stringify(name)} was made`);
}
