import type { Range, SourceFile } from './source-file.ts';

/** Names whose values are taken for secrets where no option spec says what they are. */
const secretName =
  /(?:^|[\s,{[?#-])(["']?)[\w.-]{0,40}(?:pass|pwd|secret|token|credential|private|dsn|connection|auth|key)[\w.-]{0,40}\1\s*:(?=\s|["'{[])/gi;
const urlPassword = /:\/\/[^\s/:@]*:(\S+)@/g;
const wordPassword = /\bpassword\s*=\s*('(?:[^'\\]|\\.)*'|[^\s'"]+)/gi;
const placeholder = /\$\{(?:env|file):[^{}]*\}/g;

/**
 * Which characters of a line may not be shown. Certain are the values of secret options; what no option spec has judged (a file that does not parse, an unknown plugin) is judged by its looks.
 */
export function hiddenInLine(file: SourceFile, line: number): Uint8Array {
  const { text, start } = lineOf(file, line);
  const hidden = new Uint8Array(text.length);
  hideSuspects(file, line, text, hidden);
  if (file.values) showAllBut(hidden, text, start, file.values);
  mark(hidden, start, file.known, 0);
  mark(hidden, start, file.hidden, 1);
  // The name of a variable or file is what the reader needs to see.
  for (const match of text.matchAll(placeholder)) hidden.fill(0, match.index, match.index + match[0].length);
  showPunctuation(text, hidden);
  return hidden;
}

/** Between the values of a file that was parsed there are names and brackets only; and comments, anchors, aliases and tags, as which a password may be taken. */
function showAllBut(hidden: Uint8Array, text: string, start: number, values: readonly Range[]): void {
  const inside = new Uint8Array(hidden.length);
  mark(inside, start, values, 1);
  for (let index = 0; index < hidden.length; index += 1) {
    if (inside[index] === 1) continue;
    if (text[index] === '#') break;
    if (/[&*!]/.test(text[index]!)) index += /^[^\s,\]}]*/.exec(text.slice(index))![0].length;
    else hidden[index] = 0;
  }
}

/** The brackets and commas that follow a placeholder are no secret. */
function showPunctuation(text: string, hidden: Uint8Array): void {
  let index = 0;
  while (index < text.length) {
    const start = index;
    while (index < text.length && hidden[index] === 1) index += 1;
    if (index > start && /^[\s,}\]"']*$/.test(text.slice(start, index))) hidden.fill(0, start, index);
    index += 1;
  }
}

/** One line's text without its end, and where it starts. Lines count from 1. */
export function lineOf(file: SourceFile, line: number): { text: string; start: number } {
  const start = file.lines.lineStarts[line - 1] ?? file.text.length;
  const end = file.lines.lineStarts[line] ?? file.text.length + 1;
  return { text: file.text.slice(start, end - 1).replace(/\r$/, ''), start };
}

function mark(hidden: Uint8Array, start: number, ranges: readonly Range[], value: 0 | 1): void {
  for (const range of ranges) {
    if (range.end <= start || range.start >= start + hidden.length) continue;
    hidden.fill(value, Math.max(0, range.start - start), range.end - start);
  }
}

/** Longest line, in characters, that is looked at closely; of longer ones everything is a suspect. */
const longestLine = 1000;

function hideSuspects(file: SourceFile, line: number, text: string, hidden: Uint8Array): void {
  if (text.length > longestLine) {
    hidden.fill(1);
    return;
  }
  if (continuesSecret(file, line, text)) hidden.fill(1, indentOf(text));
  for (const match of text.matchAll(secretName)) {
    const from = match.index + match[0].length;
    const rest = text.slice(from);
    // `{ password: ${env:X}, user: … }`: the value is the placeholder.
    if (/^\s*\$\{(?:env|file):[^{}]*\}(?:[\s,}\]]|$)/.test(rest)) continue;
    hidden.fill(1, from + (rest.length - rest.trimStart().length));
  }
  for (const match of text.matchAll(urlPassword)) {
    const from = match.index + match[0].length - 1 - match[1]!.length;
    hidden.fill(1, from, from + match[1]!.length);
  }
  for (const match of text.matchAll(wordPassword)) {
    const end = match.index + match[0].length;
    hidden.fill(1, end - match[1]!.length, end);
  }
}

/** Longest block of text, in lines, whose head is looked for. */
const farthestHead = 200;

/** Whether a line belongs to a value whose key, on an earlier and less indented line, sounds secret: a key pasted as a block of text. */
function continuesSecret(file: SourceFile, line: number, text: string): boolean {
  let indent = text.trim() === '' ? 0 : indentOf(text);
  for (let above = line - 1; above > 0 && above >= line - farthestHead && indent > 0; above -= 1) {
    const candidate = lineOf(file, above).text.slice(0, longestLine);
    if (candidate.trim() === '' || indentOf(candidate) >= indent) continue;
    if (candidate.search(secretName) >= 0) return true;
    indent = indentOf(candidate);
  }
  return false;
}

/** In a comment or list, what counts is where the text begins. */
function indentOf(text: string): number {
  return /^[\s#-]*/.exec(text)![0].length;
}
