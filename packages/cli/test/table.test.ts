import { describe, expect, it } from 'vitest';
import stringWidth from 'string-width';
import { styleFor } from '../src/terminal/style.ts';
import { columnWidths, renderTable } from '../src/terminal/table.ts';
import { wrapText } from '../src/terminal/wrap.ts';

const style = styleFor(false);
const columns = [
  { title: 'unit', wrap: 'anywhere' },
  { title: 'size', align: 'right' },
  { title: 'why', wrap: 'words' },
] as const;

describe('tables', () => {
  it('aligns columns of wide characters', () => {
    const rows = [
      ['株式会社', '1 B', 'x'],
      ['a', '100 MB', 'why not'],
    ];
    expect(`\n${renderTable(columns, rows, { style, width: undefined })}`).toBe(`
unit        size  why
─────────────────────────
株式会社     1 B  x
a         100 MB  why not
`);
  });

  it('wraps to the terminal and loses nothing', () => {
    const name = 'a_very_long_name_of_a_tenant_'.repeat(3);
    const why = 'the server closed the connection while the dump was read';
    const colour = (text: string): string => `\u001b[31m${text}\u001b[39m`;
    const text = renderTable(columns, [[{ text: name, colour }, '1 B', why]], { style, width: 60 });
    const lines = text.split('\n');
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(60);
    // oxlint-disable-next-line no-control-regex
    const plain = lines.map((line) => line.replaceAll(/\u001b\[\d+m/g, ''));
    expect(
      plain
        .slice(2)
        .map((line) => line.slice(0, 30).split(' ')[0])
        .join(''),
    ).toBe(name);
    expect(text.split('\u001b[31m').length).toBe(text.split('\u001b[39m').length);
  });

  it('keeps the widths of the first page on the next', () => {
    const least = columnWidths(columns, [['acme_corporation', '1 B', '']]);
    const page = renderTable(columns, [['a', '2 B', 'z']], { style, width: undefined, titles: false, least });
    expect(page).toBe(`${'a'.padEnd(18)} 2 B  z\n`);
  });
});

describe('wrapText', () => {
  it.each([
    ['one two three', 7, 'words', ['one two', 'three']],
    ['unbreakable no', 5, 'words', ['unbre', 'akabl', 'e no']],
    ['株式会社', 5, 'anywhere', ['株式', '会社']],
    ['a\nb', 5, 'words', ['a', 'b']],
    ['', 5, 'words', ['']],
  ] as const)('%j at %d', (text, width, where, lines) => {
    expect(wrapText(text, width, where)).toEqual(lines);
  });
});
