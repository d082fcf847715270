import { describe, expect, it } from 'vitest';
import { printable, printableText } from '../src/terminal/printable.ts';
import { shellWord } from '../src/terminal/shell.ts';
import { execFileSync } from 'node:child_process';

describe('printable', () => {
  it.each([
    ['acme', 'acme'],
    ['Ümläut 株式会社 👩‍💻'.replaceAll('\u200d', ''), 'Ümläut 株式会社 👩💻'],
    ['a\nb\tc\rd', String.raw`a\nb\tc\rd`],
    ['\x1b[31mred\x07', String.raw`\x1b[31mred\x07`],
    ['\u009b31m', String.raw`\u{9b}31m`],
    ['abc\u202Edcba', String.raw`abc\u{202e}dcba`],
    ['a\u2066b\u2069\u200Bc\uFEFF', String.raw`a\u{2066}b\u{2069}\u{200b}c\u{feff}`],
    ['a\u00A0b\u2028c', String.raw`a\u{a0}b\u{2028}c`],
    ['half \uD800', String.raw`half \u{d800}`],
    [String.raw`back\slash`, String.raw`back\\slash`],
    ['', '""'],
    [' acme', '" acme"'],
    ['"', '"""'],
  ])('%j is shown as %s', (name, shown) => {
    expect(printable(name)).toBe(shown);
  });

  it('shows different names differently', () => {
    const names = ['a\nb', String.raw`a\nb`, 'a b', 'a\u00A0b', 'ab', 'a\u200Bb', ' a', '" a"', '', '""'];
    expect(new Set(names.map(printable)).size).toBe(names.length);
  });

  it('keeps the lines of a text, and nothing else that moves the cursor', () => {
    expect(printableText('a\r\nb\x1b[2J\n\u202Ec\td')).toBe('a\nb\\x1b[2J\n\\u{202e}c    d');
  });
});

describe('shellWord', () => {
  const names = [
    'acme',
    "it's",
    'a b',
    '$(reboot)',
    '-x',
    'a\nb',
    '\u202Ex',
    '*',
    '',
    '@globals',
    'ü;',
    '=a',
  ];
  it.each(names)('%j reaches a shell as it is', (name) => {
    const word = shellWord(name);
    expect(word).not.toMatch(/[\p{C}]/u);
    expect(execFileSync('bash', ['-c', `printf %s ${word}`], { encoding: 'utf8' })).toBe(name);
  });
});
