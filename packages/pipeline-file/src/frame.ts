import { hiddenInLine, lineOf } from './concealment.ts';
import { printable } from './located.ts';
import type { Place } from './source-file.ts';

const around = 2;
const widest = 100;
const blot = '[secret]';

/** The lines around a place, the one itself marked by `>` and a caret below it. Secrets are blotted out, control characters replaced. */
export function codeFrame(place: Place): string {
  const { file } = place;
  if (file.text.trim() === '') return '';
  const { line, col } = file.lines.linePos(place.start);
  const last = Math.min(line + around, lastLine(file.lines.lineStarts, file.text));
  const first = Math.max(1, line - around);
  const digits = String(last).length;
  const column = Math.max(1, col) - 1;
  const shift = Math.max(0, column - (widest - 20));
  const rows: string[] = [];
  for (let number = first; number <= last; number += 1) {
    const { text } = lineOf(file, number);
    const hidden = hiddenInLine(file, number);
    const label = String(number).padStart(digits);
    const here = number === line;
    const shown = blotted(text, hidden, shift, shift + widest) + (text.length > shift + widest ? '…' : '');
    rows.push(`${here ? '>' : ' '} ${label} | ${shown}`.trimEnd());
    if (!here) continue;
    const before = blotted(text, hidden, shift, column);
    const width = Math.max(1, Math.min(place.end, file.text.length) - place.start);
    const marked = blotted(text, hidden, column, Math.min(column + width, text.length, shift + widest));
    const carets = '^'.repeat(Math.max(1, Math.min(marked.length, 60)));
    rows.push(`  ${' '.repeat(digits)} | ${' '.repeat(before.length)}${carets}`);
  }
  return rows.join('\n');
}

function lastLine(starts: readonly number[], text: string): number {
  return text.endsWith('\n') && starts.length > 1 ? starts.length - 1 : starts.length;
}

/** The characters from `from` to `to`, each hidden stretch as one word of a fixed length. */
function blotted(text: string, hidden: Uint8Array, from: number, to: number): string {
  let result = '';
  let index = from;
  while (index < Math.min(to, text.length)) {
    const start = index;
    const secret = hidden[index] === 1;
    while (index < Math.min(to, text.length) && (hidden[index] === 1) === secret) index += 1;
    result += secret ? blot : printable(text.slice(start, index));
  }
  return result;
}
