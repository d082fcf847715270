import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';
import { redact } from '@pgsilo/plugin';

/** How much of one line is read as a line, how much of it is shown, in characters, and how many lines of one stream. */
const longestRead = 65_536;
const longestShown = 4096;
const mostLines = 1000;

/**
 * Tells the lines of a stream, secrets blotted out, in bounded memory; resolves when the stream has ended or broken. A secret is looked for in whole lines, so that none is cut in two:
 * of a line that is too long the beginning is shown. What comes after too many lines is read and not shown.
 */
export async function outputLines(stream: Readable, tell: (line: string) => void): Promise<void> {
  const decoder = new StringDecoder('utf8');
  let line = '';
  let cut = false;
  let count = 0;
  const end = (): void => {
    count += 1;
    if (count <= mostLines) {
      const whole = redact(line);
      // What was cut may have ended within a secret.
      const clean = cut ? whole.slice(0, -longestShown) : whole;
      const shown = clean.slice(0, longestShown);
      if (shown.trim() !== '') tell(cut || shown.length < clean.length ? `${shown}…` : shown);
    } else if (count === mostLines + 1) tell(`… more than ${mostLines} lines; the others are not shown`);
    line = '';
    cut = false;
  };
  const take = (text: string): void => {
    const pieces = text.split('\n');
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) end();
      const room = longestRead - line.length;
      if (piece.length > room) cut = true;
      line += piece.slice(0, Math.max(0, room));
    }
  };
  try {
    for await (const chunk of stream) take(decoder.write(chunk as Buffer));
    take(decoder.end());
  } catch {
    // Given up, because somebody who outlived the hook held it open.
  }
  if (line !== '') end();
}
