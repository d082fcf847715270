import { Lexer } from 'yaml';
import type { Document, YAMLParseError, YAMLWarning } from 'yaml';
import type { Findings } from './findings.ts';
import { quote } from './located.ts';
import type { Range, SourceFile } from './source-file.ts';

interface Wording {
  readonly message: string;
  readonly hint?: string;
}

const wordings: Readonly<Record<string, Wording>> = {
  TAB_AS_INDENT: { message: 'a tab is used as indentation', hint: 'YAML wants spaces' },
  MULTIPLE_DOCS: {
    message: 'a second document begins here',
    hint: 'one file holds one pipeline; remove the line with ---',
  },
  BLOCK_AS_IMPLICIT_KEY: {
    message: 'a second ": " in one line',
    hint: 'put the value in quotes, or its options on lines of their own',
  },
  BAD_DQ_ESCAPE: {
    message: 'a backslash in double quotes begins an escape that is not known',
    hint: String.raw`write \\ for a backslash, or use single quotes`,
  },
  BAD_DIRECTIVE: { message: 'a line that begins with % is not supported', hint: 'remove it' },
  BAD_INDENT: {
    message: 'this line begins in another column than those it belongs to',
    hint: 'check how far the lines are indented',
  },
  BAD_SCALAR_START: {
    message: 'text without quotes cannot begin with this character',
    hint: 'put the value in quotes',
  },
  UNEXPECTED_TOKEN: { message: 'this does not belong here', hint: 'put the value in quotes' },
  NON_STRING_KEY: { message: 'a name has to be plain text' },
  RESOURCE_EXHAUSTION: { message: 'nested too deeply' },
  TAG_RESOLVE_FAILED: { message: 'YAML tags such as this one are not supported', hint: 'remove the tag' },
};

/** Reports what keeps the text from being YAML, one mistake a line; true when there was something. */
export function reportSyntax(file: SourceFile, document: Document.Parsed, findings: Findings): boolean {
  const problems: readonly (YAMLParseError | YAMLWarning)[] = [...document.errors, ...document.warnings];
  if (problems.length === 0) return reportVersion(file, document, findings);
  // What follows an unquoted placeholder makes no sense to the parser; its complaints would only confuse.
  const unquoted = unquotedPlaceholders(file.text);
  for (const { start, text } of unquoted) {
    findings.add({
      at: { file, start, end: start + text.length },
      path: [],
      message: 'inside { } and [ ] a placeholder has to be quoted',
      hint: `write ${quote(text, 200)}`,
    });
  }
  const lines = new Set<number>();
  for (const problem of unquoted.length > 0 ? [] : problems) {
    const range = rangeOf(file.text, problem);
    const { line } = file.lines.linePos(range.start);
    if (!lines.has(line)) findings.add({ at: { file, ...range }, path: [], ...wordingOf(problem) });
    lines.add(line);
  }
  return true;
}

/** Where a problem is to be seen: a quote that is not closed where it opens, and what is missing at the end behind the last text. */
function rangeOf(text: string, problem: YAMLParseError | YAMLWarning): Range {
  const [start, end] = problem.pos;
  if (unclosedQuote.test(problem.message)) {
    const opening = quoteBefore(text, start);
    if (opening !== undefined) return { start: opening, end: opening + 1 };
  }
  if (text.slice(start).trim() !== '') return { start, end };
  const last = text.trimEnd().length;
  return { start: Math.max(0, last - 1), end: last };
}

const unclosedQuote = /^Missing closing ["']quote/;

function quoteBefore(text: string, offset: number): number | undefined {
  let last: number | undefined;
  for (const token of tokens(text)) {
    if (token.start >= offset) break;
    if (/^["']/.test(token.text)) last = token.start;
  }
  return last;
}

const libraryWordings: readonly (readonly [RegExp, Wording])[] = [
  [/call stack/i, wordings['RESOURCE_EXHAUSTION']!],
  [unclosedQuote, { message: 'this quote is not closed' }],
  [
    /^Flow (?:map|sequence) in block collection/,
    {
      message: 'a { or [ before this is not closed',
      hint: 'add the closing } or ], or indent the lines inside it',
    },
  ],
  [
    /^Block scalar header/,
    {
      message: 'text follows | or > on the same line',
      hint: 'put the value in quotes, if that is all of it',
    },
  ],
  [
    / at node end$/,
    { message: 'text follows the end of a value', hint: 'put all of the value in one pair of quotes' },
  ],
];

function wordingOf(problem: YAMLParseError | YAMLWarning): Wording {
  const special = libraryWordings.find(([form]) => form.test(problem.message))?.[1];
  const own = special ?? wordings[problem.code];
  if (own) return own;
  // Only messages that are the same whatever the file holds: others quote its text, which may be a piece of a secret.
  const constant = /^[A-Z][a-z ,]+$/.test(problem.message) && constantMessages.has(problem.code);
  return {
    message: constant ? `not valid YAML: ${problem.message.toLowerCase()}` : 'this is not valid YAML',
  };
}

const constantMessages = new Set<string>([
  'ALIAS_PROPS',
  'BLOCK_IN_FLOW',
  'MISSING_CHAR',
  'MULTILINE_IMPLICIT_KEY',
  'MULTIPLE_ANCHORS',
  'MULTIPLE_TAGS',
]);

function reportVersion(file: SourceFile, document: Document.Parsed, findings: Findings): boolean {
  const version: string = document.directives.yaml.version;
  if (version === '1.2') return false;
  const start = Math.max(0, file.text.indexOf('%YAML'));
  findings.add({
    at: { file, start, end: start + 9 },
    path: [],
    message: `YAML ${version} is not supported`,
    hint: 'pipeline files are YAML 1.2: remove the %YAML line',
  });
  return true;
}

/** Tokens of the lexer that stand for no text. */
const marks = new Set(['\u0002', '\u0018', '\u001F']);

function* tokens(text: string): Generator<{ start: number; text: string }> {
  let start = 0;
  for (const token of new Lexer().lex(text)) {
    if (marks.has(token)) continue;
    yield { start, text: token };
    start += token.length;
  }
}

/** Placeholders in flow context: there the lexer sees a scalar that ends with `$` and, directly after it, the beginning of a map. */
function unquotedPlaceholders(text: string): { start: number; text: string }[] {
  const found: { start: number; text: string }[] = [];
  let last = { start: 0, text: '' };
  for (const token of tokens(text)) {
    if (token.text === '{' && last.text.endsWith('$') && !/^["']/.test(last.text)) {
      found.push({ start: last.start, text: wholeScalar(text, last.start) });
    }
    last = token;
  }
  return found;
}

function wholeScalar(text: string, start: number): string {
  const rest = text.slice(start, start + 500);
  return /^(?:\$\{[^{}\n]*\}|[^\s,[\]{}])+/.exec(rest)?.[0] ?? rest.slice(0, 2);
}
