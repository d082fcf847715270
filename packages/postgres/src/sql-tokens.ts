import { PgsiloError } from '@pgsilo/plugin';

/** A piece of SQL as pg_dump writes it. */
export interface Token {
  /** `word`: a keyword or a name without quotes; `name`: one in double quotes; `text`: a string literal. */
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'symbol';
  /** Without quotes. */
  readonly value: string;
  /** Where it stands in the source. */
  readonly start: number;
  readonly end: number;
}

const space = /\s+/y;
const word = /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y;
const number = /\d+(?:\.\d+)?/y;
const dollar = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;

/**
 * Splits SQL with `standard_conforming_strings = on` into its tokens; comments are left out.
 * Throws `source.archive-invalid` when a quote or comment does not end.
 */
export function tokens(sql: string): readonly Token[] {
  const found: Token[] = [];
  let at = 0;
  const push = (kind: Token['kind'], value: string, end: number): void => {
    found.push({ kind, value, start: at, end });
    at = end;
  };
  while (at < sql.length) {
    const character = sql[at]!;
    const two = sql.slice(at, at + 2);
    const spaces = match(space, sql, at);
    if (spaces) at += spaces.length;
    else if (two === '--') at = endOfLine(sql, at);
    else if (two === '/*') at = endOfComment(sql, at);
    else if (character === "'") readText(sql, at, false, push);
    else if ((character === 'E' || character === 'e') && sql[at + 1] === "'")
      readText(sql, at + 1, true, push);
    else if (character === '"') {
      const end = closing(sql, at, '"');
      push('name', sql.slice(at + 1, end - 1).replaceAll('""', '"'), end);
    } else if (character === '$' && match(dollar, sql, at)) {
      const tag = match(dollar, sql, at)!;
      const end = sql.indexOf(tag, at + tag.length);
      if (end < 0) throw unended('a dollar quote');
      push('text', sql.slice(at + tag.length, end), end + tag.length);
    } else {
      const name = match(word, sql, at);
      const digits = name === undefined ? match(number, sql, at) : undefined;
      if (name !== undefined) push('word', name, at + name.length);
      else if (digits !== undefined) push('number', digits, at + digits.length);
      else push('symbol', character, at + 1);
    }
  }
  return found;
}

/** The tokens of each statement, without its semicolon. */
export function statements(sql: string): readonly (readonly Token[])[] {
  return splitStatements(tokens(sql));
}

/** Groups tokens into statements; empty ones are left out. */
export function splitStatements(all: readonly Token[]): readonly (readonly Token[])[] {
  const found: Token[][] = [[]];
  for (const token of all) {
    if (token.kind === 'symbol' && token.value === ';') found.push([]);
    else found.at(-1)!.push(token);
  }
  return found.filter((statement) => statement.length > 0);
}

/** Whether a token is this keyword; a name in quotes never is. */
export function isWord(token: Token | undefined, keyword: string): boolean {
  return token?.kind === 'word' && token.value.toUpperCase() === keyword;
}

/** Whether the tokens from `at` on are these keywords. */
export function hasWords(statement: readonly Token[], at: number, ...keywords: readonly string[]): boolean {
  return keywords.every((keyword, index) => isWord(statement[at + index], keyword));
}

/** Name that a token stands for; undefined when it is none. */
export function nameOf(token: Token | undefined): string | undefined {
  return token?.kind === 'name' || token?.kind === 'word' ? token.value : undefined;
}

/** Places of a keyword outside parentheses. */
export function placesOf(statement: readonly Token[], keyword: string): readonly number[] {
  const places: number[] = [];
  let depth = 0;
  for (const [index, token] of statement.entries()) {
    if (token.kind === 'symbol' && token.value === '(') depth += 1;
    else if (token.kind === 'symbol' && token.value === ')') depth -= 1;
    else if (depth === 0 && isWord(token, keyword)) places.push(index);
  }
  return places;
}

function readText(
  sql: string,
  quote: number,
  escapes: boolean,
  push: (kind: 'text', value: string, end: number) => void,
): void {
  if (!escapes) {
    const end = closing(sql, quote, "'");
    push('text', sql.slice(quote + 1, end - 1).replaceAll("''", "'"), end);
    return;
  }
  let value = '';
  for (let at = quote + 1; at < sql.length; at += 1) {
    const character = sql[at]!;
    if (character === '\\') {
      at += 1;
      value += sql[at] ?? '';
    } else if (character === "'") {
      if (sql[at + 1] !== "'") {
        push('text', value, at + 1);
        return;
      }
      value += "'";
      at += 1;
    } else value += character;
  }
  throw unended('a string');
}

/** Place behind the quote that closes what begins at `at`; a doubled quote does not. */
function closing(sql: string, at: number, quote: string): number {
  for (let from = at + 1; ; from += 2) {
    from = sql.indexOf(quote, from);
    if (from < 0) throw unended('a quote');
    if (sql[from + 1] !== quote) return from + 1;
  }
}

function endOfLine(sql: string, at: number): number {
  const end = sql.indexOf('\n', at);
  return end < 0 ? sql.length : end + 1;
}

function endOfComment(sql: string, at: number): number {
  const edge = /\/\*|\*\//g;
  edge.lastIndex = at + 2;
  for (let depth = 1; depth > 0;) {
    const found = edge.exec(sql);
    if (!found) throw unended('a comment');
    depth += found[0] === '/*' ? 1 : -1;
  }
  return edge.lastIndex;
}

function match(expression: RegExp, text: string, at: number): string | undefined {
  expression.lastIndex = at;
  return expression.exec(text)?.[0];
}

function unended(what: string): PgsiloError {
  return new PgsiloError(
    'source.archive-invalid',
    `SQL of the backup is not understood: ${what} does not end`,
  );
}
