import { isUtf8 } from 'node:buffer';
import { hasWords, isWord, nameOf, placesOf, textDecoder, tokens, type Token } from '@pgsilo/postgres';
import { invalidDump } from './errors.ts';

/** What a statement of a dump is, as far as a restore treats it in a way of its own. */
export type Statement =
  | { readonly kind: 'create-database'; readonly name: string; readonly tokens: readonly Token[] }
  /** Says something about a database by its name, which is another one in a copy. */
  | DatabaseStatement
  | { readonly kind: 'rows' | 'sequence'; readonly text: string }
  | { readonly kind: 'large-object' }
  /** Who owns what and who may do what. */
  | { readonly kind: 'owner' }
  | { readonly kind: 'authorization'; readonly role: string | undefined }
  | { readonly kind: 'tablespace'; readonly name: string }
  /** Of the session; nothing of it stays. */
  | { readonly kind: 'setting' }
  | { readonly kind: 'other' };

export interface DatabaseStatement {
  readonly kind: 'of-database';
  readonly database: string;
  /** `parameter work_mem`, `owner`; see `SettingStatement`. */
  readonly about: string;
  /** Whether it names a role other than PUBLIC. */
  readonly names: boolean;
  /** The statement with this identifier, quoted already, in the database's place. */
  sql(identifier: string): string;
}

/** Words that a statement begins with which is looked at; the others go by. */
const looked =
  /^(?:CREATE DATABASE|COPY|SELECT pg_catalog\.(?:setval|lo_create|set_config)|ALTER|COMMENT ON DATABASE|GRANT|REVOKE|SECURITY LABEL|SET|RESET)\b/;

/** @param encoding of the text; names of databases and roles are bytes of no known encoding, and nearly always UTF-8. */
export function readStatement(bytes: Buffer, encoding: string): Statement {
  const word = looked.exec(bytes.toString('latin1', 0, 40))?.[0];
  if (word === undefined) return { kind: 'other' };
  if (word === 'COPY') return { kind: 'rows', text: textDecoder(encoding)(bytes) };
  if (word.endsWith('setval')) return { kind: 'sequence', text: textDecoder(encoding)(bytes) };
  if (word.endsWith('lo_create')) return { kind: 'large-object' };
  if (word.endsWith('set_config')) return { kind: 'setting' };
  const sql = isUtf8(bytes) ? bytes.toString() : textDecoder(encoding)(bytes);
  return classify(tokens(sql).slice(0, -1), sql);
}

function classify(all: readonly Token[], sql: string): Statement {
  if (isWord(all[0], 'SET') || isWord(all[0], 'RESET')) return readSetting(all);
  const named = (at: number): string => nameOf(all[at]) ?? refuse(sql);
  const ofDatabase = (at: number, about: string, names = false): DatabaseStatement => ({
    kind: 'of-database',
    database: named(at),
    about,
    names,
    sql: (identifier) => sql.slice(0, all[at]!.start) + identifier + sql.slice(all[at]!.end),
  });
  if (hasWords(all, 0, 'CREATE', 'DATABASE')) return { kind: 'create-database', name: named(2), tokens: all };
  if (hasWords(all, 0, 'COMMENT', 'ON', 'DATABASE')) return ofDatabase(3, 'comment');
  if (hasWords(all, 0, 'ALTER', 'DATABASE')) {
    const owner = hasWords(all, 3, 'OWNER', 'TO');
    const parameter = isWord(all[3], 'SET') ? `parameter ${nameOf(all[4]) ?? ''}` : undefined;
    return ofDatabase(2, owner ? 'owner' : (parameter ?? 'properties'), owner);
  }
  if (hasWords(all, 0, 'ALTER', 'ROLE')) {
    if (!hasWords(all, 3, 'IN', 'DATABASE')) return refuse(sql);
    return ofDatabase(5, `parameter ${nameOf(all[7]) ?? ''} of role ${nameOf(all[2]) ?? ''}`, true);
  }
  const on = placesOf(all, 'ON')[0] ?? -1;
  if (isWord(all[0], 'SECURITY'))
    return isWord(all[on + 1], 'DATABASE') && on > 0
      ? ofDatabase(on + 2, `security label of ${nameOf(all[3]) ?? ''}`)
      : { kind: 'other' };
  if (isWord(all[0], 'GRANT') || isWord(all[0], 'REVOKE')) {
    if (on < 0 || !isWord(all[on + 1], 'DATABASE')) return { kind: 'owner' };
    const to = placesOf(all, 'TO')[0] ?? placesOf(all, 'FROM')[0] ?? -1;
    const grantee = nameOf(all[to + 1]) ?? refuse(sql);
    const anybody = isWord(all[to + 1], 'PUBLIC');
    return ofDatabase(on + 2, `rights of ${anybody ? 'PUBLIC' : `role ${grantee}`}`, !anybody);
  }
  if (hasWords(all, 0, 'ALTER', 'DEFAULT', 'PRIVILEGES')) return { kind: 'owner' };
  return hasWords(all, all.length - 3, 'OWNER', 'TO') ? { kind: 'owner' } : { kind: 'other' };
}

function readSetting(all: readonly Token[]): Statement {
  if (hasWords(all, 1, 'SESSION', 'AUTHORIZATION')) {
    const role = all[3]?.kind === 'text' ? all[3].value : nameOf(all[3]);
    const none = isWord(all[0], 'RESET') || isWord(all[3], 'DEFAULT');
    return { kind: 'authorization', role: none ? undefined : role };
  }
  if (isWord(all[1], 'DEFAULT_TABLESPACE')) {
    const name = all[3]?.kind === 'text' ? all[3].value : nameOf(all[3]);
    return { kind: 'tablespace', name: name ?? '' };
  }
  return { kind: 'setting' };
}

function refuse(sql: string): never {
  throw invalidDump(`a statement is not understood: ${JSON.stringify(sql.slice(0, 40))}`);
}
