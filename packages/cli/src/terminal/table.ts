import Table from 'cli-table3';
import stringWidth from 'fast-string-width';
import type { Style } from './style.ts';
import { wrapText } from './wrap.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be broken over several lines where the terminal is too narrow: names anywhere, sentences between words. Nothing is ever cut away. */
  readonly wrap?: 'anywhere' | 'words';
}

/** Plain text; names in it went through `printable`. Its colour is laid on after it was wrapped, because an escape sequence must not be. */
export type Cell = string | { readonly text: string; readonly colour: (text: string) => string };

export interface TableLook {
  readonly style: Style;
  /** Columns of the terminal; undefined where there is none, and then nothing is wrapped. */
  readonly width: number | undefined;
  /** Whether to print the column titles; the later pages of a long table go without. */
  readonly titles?: boolean;
  /** Least width of each column, so that the pages of a long table stand under each other. */
  readonly least?: readonly number[];
}

const gap = 2;
const narrowest = 12;

/** A table with a line under its titles and no other borders, ending in a newline. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  look: TableLook,
): string {
  const { style, width, titles = true } = look;
  const widths = fit(columns, columnWidths(columns, rows, look.least), width);
  const table = new Table({
    ...(titles ? { head: columns.map(({ title }) => style.dim(title)) } : {}),
    chars: { ...noBorders, ...(titles ? { mid: '─' } : {}) },
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': gap },
    colWidths: widths.map((each) => each + gap),
    colAligns: columns.map(({ align }) => align ?? 'left'),
  });
  for (const row of rows) {
    table.push(row.map((cell, index) => cellText(cell, columns[index], widths[index])));
  }
  const lines = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  if (titles) lines[1] = style.dim('─'.repeat(totalWidth(widths)));
  return `${lines.join('\n')}\n`;
}

function cellText(cell: Cell, column: Column | undefined, width = Infinity): string {
  const { text, colour } = typeof cell === 'string' ? { text: cell, colour: String } : cell;
  return wrapText(text, width, column?.wrap ?? 'words')
    .map((line) => colour(line))
    .join('\n');
}

/** Natural width of each column, in terminal columns. */
export function columnWidths(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  least: readonly number[] = [],
): number[] {
  return columns.map(({ title }, index) => {
    let widest = Math.max(stringWidth(title), least[index] ?? 0);
    for (const row of rows) {
      const cell = row[index] ?? '';
      for (const line of (typeof cell === 'string' ? cell : cell.text).split('\n')) {
        widest = Math.max(widest, stringWidth(line));
      }
    }
    return widest;
  });
}

function totalWidth(widths: readonly number[]): number {
  return widths.reduce((sum, each) => sum + each + gap, -gap);
}

/** Takes from the columns that may wrap, the widest first, until the table fits or none can give more. */
function fit(columns: readonly Column[], natural: readonly number[], width: number | undefined): number[] {
  const widths = [...natural];
  if (width === undefined) return widths;
  for (let excess = totalWidth(widths) - width; excess > 0; excess -= 1) {
    let widest = -1;
    for (const [index, { wrap }] of columns.entries()) {
      const room = wrap !== undefined && widths[index]! > narrowest;
      if (room && (widest === -1 || widths[index]! > widths[widest]!)) widest = index;
    }
    if (widest === -1) break;
    widths[widest]! -= 1;
  }
  return widths;
}

const borders =
  'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle';
const noBorders = Object.fromEntries(borders.split(' ').map((name) => [name, '']));
