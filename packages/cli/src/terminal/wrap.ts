import stringWidth from 'fast-string-width';
import { graphemesOf } from './graphemes.ts';

/** Plain text cut into lines of at most `width` terminal columns, none of it lost: between words where that is possible, or anywhere. */
export function wrapText(text: string, width: number, where: 'words' | 'anywhere'): string[] {
  return text.split('\n').flatMap((line) => {
    if (stringWidth(line) <= width) return [line];
    return where === 'words' ? wrapWords(line, width) : wrapAnywhere(line, width);
  });
}

/** Text whose further lines are indented, and which stays within the terminal; where there is none it is not cut. */
export function indented(text: string, indent: number, columns: number | undefined): string {
  const width = columns === undefined ? Infinity : Math.max(20, columns - indent);
  return wrapText(text, width, 'words').join(`\n${' '.repeat(indent)}`);
}

function wrapWords(line: string, width: number): string[] {
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(' ')) {
    const longer = current === '' ? word : `${current} ${word}`;
    if (stringWidth(longer) <= width) {
      current = longer;
      continue;
    }
    if (current !== '') lines.push(current);
    const pieces = stringWidth(word) > width ? wrapAnywhere(word, width) : [word];
    current = pieces.pop() ?? '';
    lines.push(...pieces);
  }
  return [...lines, current];
}

function wrapAnywhere(line: string, width: number): string[] {
  const lines: string[] = [];
  let current = '';
  let used = 0;
  for (const segment of graphemesOf(line)) {
    const wide = stringWidth(segment);
    if (used + wide > width && current !== '') {
      lines.push(current);
      current = '';
      used = 0;
    }
    current += segment;
    used += wide;
  }
  return [...lines, current];
}
