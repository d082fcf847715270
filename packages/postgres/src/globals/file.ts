import { PgsiloError } from '@pgsilo/plugin';
import { textDecoder } from '../archive/index.ts';
import { hasWords, isWord, nameOf, placesOf, splitStatements, tokens, type Token } from '../sql-tokens.ts';

/** What a statement of `globals.sql` is about. */
export type GlobalStatement =
  | {
      readonly kind: 'create-role' | 'role';
      readonly role: string;
      readonly sql: string;
      readonly tokens: readonly Token[];
    }
  | {
      readonly kind: 'attributes';
      readonly role: string;
      readonly attributes: RoleAttributes;
      readonly sql: string;
      readonly tokens: readonly Token[];
    }
  | {
      readonly kind: 'membership' | 'parameter';
      readonly role: string;
      readonly member: string;
      readonly sql: string;
      readonly tokens: readonly Token[];
    }
  | {
      readonly kind: 'create-tablespace' | 'tablespace';
      readonly tablespace: string;
      readonly sql: string;
      readonly tokens: readonly Token[];
    }
  | { readonly kind: 'unknown'; readonly sql: string; readonly tokens: readonly Token[] };

export interface RoleAttributes {
  /** `SUPERUSER`, `LOGIN`, …: whether the role has it. */
  readonly flags: Readonly<Record<string, boolean>>;
  readonly connectionLimit: number;
}

/** `LOGIN` and its kin, as pg_dumpall writes them, with NO in front where a role has them not. */
export const roleFlags = [
  'SUPERUSER',
  'INHERIT',
  'CREATEROLE',
  'CREATEDB',
  'LOGIN',
  'REPLICATION',
  'BYPASSRLS',
] as const;

/** Last line of pg_dumpall's work but for white space, and for `\unrestrict` in later releases. */
export const clusterClosingLine = '-- PostgreSQL database cluster dump complete';

/**
 * Reads what `pg_dumpall --globals-only` wrote; nothing is run. `\restrict` and `\unrestrict` are the only commands of psql that may be in it.
 * Throws `source.archive-invalid` when it is cut or not understood.
 */
export function readGlobalsFile(bytes: Buffer): readonly GlobalStatement[] {
  const tail = bytes
    .toString('latin1', Math.max(0, bytes.length - 4096))
    .split('\n')
    .map((line) => line.trim());
  if (!tail.slice(-8).includes(clusterClosingLine)) {
    throw new PgsiloError(
      'source.archive-invalid',
      `globals.sql is cut: its closing line "${clusterClosingLine}" is missing`,
    );
  }
  return readGlobalStatements(bytes);
}

/** Reads the part of pg_dumpall's output that is about roles and tablespaces; whether it is whole is the caller's to know. Else like {@link readGlobalsFile}. */
export function readGlobalStatements(bytes: Buffer): readonly GlobalStatement[] {
  const latin = bytes.toString('latin1');
  const encoding = /^SET client_encoding = '([A-Za-z0-9_]+)';$/m.exec(latin)?.[1] ?? 'UTF8';
  const sql = textDecoder(encoding)(bytes);
  const all = withoutMetaCommands(sql);
  return splitStatements(all).flatMap((statement) => {
    if (isSessionSetting(statement)) return [];
    return [classify(statement, sql.slice(statement[0]!.start, statement.at(-1)!.end))];
  });
}

/** Roles that the file creates, in its order. */
export function rolesOf(statements: readonly GlobalStatement[]): readonly string[] {
  return statements.flatMap((statement) => (statement.kind === 'create-role' ? [statement.role] : []));
}

/** A backslash begins a command of psql only where a statement would begin; the tokens up to the line's end belong to it. */
function withoutMetaCommands(sql: string): readonly Token[] {
  const kept: Token[] = [];
  let skipTo = -1;
  for (const token of tokens(sql)) {
    if (token.start < skipTo) continue;
    if (token.kind === 'symbol' && token.value === '\\') {
      const end = sql.indexOf('\n', token.start);
      const line = sql.slice(token.start, end < 0 ? sql.length : end);
      if (!/^\\(?:un)?restrict [A-Za-z0-9]+\s*$/.test(line)) {
        throw new PgsiloError(
          'source.archive-invalid',
          `the part about roles and tablespaces holds a command of psql that does not belong there: ${JSON.stringify(line.slice(0, 60))}`,
        );
      }
      skipTo = end < 0 ? sql.length : end;
    } else kept.push(token);
  }
  return kept;
}

function isSessionSetting(statement: readonly Token[]): boolean {
  return (
    isWord(statement[0], 'SET') &&
    ['DEFAULT_TRANSACTION_READ_ONLY', 'CLIENT_ENCODING', 'STANDARD_CONFORMING_STRINGS'].some((name) =>
      isWord(statement[1], name),
    )
  );
}

function classify(statement: readonly Token[], sql: string): GlobalStatement {
  const name = (at: number): string | undefined => nameOf(statement[at]);
  const about = { sql, tokens: statement };
  const third = name(2);
  if (hasWords(statement, 0, 'CREATE', 'ROLE') && third !== undefined && statement.length === 3)
    return { kind: 'create-role', role: third, ...about };
  if (hasWords(statement, 0, 'ALTER', 'ROLE') && third !== undefined) {
    if (isWord(statement[3], 'WITH'))
      return { kind: 'attributes', role: third, attributes: attributesOf(statement), ...about };
    if (isWord(statement[3], 'SET') || hasWords(statement, 3, 'IN', 'DATABASE'))
      return { kind: 'role', role: third, ...about };
  }
  const fourth = name(3);
  if (hasWords(statement, 0, 'COMMENT', 'ON', 'ROLE') && fourth !== undefined)
    return { kind: 'role', role: fourth, ...about };
  if (hasWords(statement, 0, 'COMMENT', 'ON', 'TABLESPACE') && fourth !== undefined)
    return { kind: 'tablespace', tablespace: fourth, ...about };
  if (hasWords(statement, 0, 'SECURITY', 'LABEL')) return labelOf(statement, about);
  if (hasWords(statement, 0, 'CREATE', 'TABLESPACE') && third !== undefined)
    return { kind: 'create-tablespace', tablespace: third, ...about };
  if (hasWords(statement, 0, 'ALTER', 'TABLESPACE') && third !== undefined)
    return { kind: 'tablespace', tablespace: third, ...about };
  if (isWord(statement[0], 'GRANT') || isWord(statement[0], 'REVOKE')) return grantOf(statement, about);
  return { kind: 'unknown', ...about };
}

type About = { readonly sql: string; readonly tokens: readonly Token[] };

function labelOf(statement: readonly Token[], about: About): GlobalStatement {
  const on = placesOf(statement, 'ON')[0] ?? -1;
  const name = nameOf(statement[on + 2]);
  if (name !== undefined && isWord(statement[on + 1], 'ROLE')) return { kind: 'role', role: name, ...about };
  if (name !== undefined && isWord(statement[on + 1], 'TABLESPACE'))
    return { kind: 'tablespace', tablespace: name, ...about };
  return { kind: 'unknown', ...about };
}

function grantOf(statement: readonly Token[], about: About): GlobalStatement {
  const on = placesOf(statement, 'ON')[0];
  const to = placesOf(statement, 'TO')[0] ?? placesOf(statement, 'FROM')[0] ?? -1;
  const member = nameOf(statement[to + 1]);
  if (to < 0 || member === undefined) return { kind: 'unknown', ...about };
  if (on === undefined || on > to) {
    const role = nameOf(statement[1]);
    return role === undefined
      ? { kind: 'unknown', ...about }
      : { kind: 'membership', role, member, ...about };
  }
  const object = nameOf(statement[on + 2]);
  if (object === undefined) return { kind: 'unknown', ...about };
  if (isWord(statement[on + 1], 'PARAMETER')) return { kind: 'parameter', role: member, member, ...about };
  if (isWord(statement[on + 1], 'TABLESPACE')) return { kind: 'tablespace', tablespace: object, ...about };
  return { kind: 'unknown', ...about };
}

function attributesOf(statement: readonly Token[]): RoleAttributes {
  const flags: Record<string, boolean> = {};
  for (const flag of roleFlags) {
    if (statement.some((token) => isWord(token, flag))) flags[flag] = true;
    else if (statement.some((token) => isWord(token, `NO${flag}`))) flags[flag] = false;
  }
  const limit = statement.findIndex(
    (token, at) => isWord(token, 'CONNECTION') && isWord(statement[at + 1], 'LIMIT'),
  );
  const connectionLimit = limit < 0 ? -1 : Number(statement[limit + 2]?.value);
  return { flags, connectionLimit: Number.isInteger(connectionLimit) ? connectionLimit : -1 };
}
