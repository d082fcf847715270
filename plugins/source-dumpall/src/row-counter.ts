import { invalidDump } from './errors.ts';

const [newline, dot, backslash] = [10, 46, 92];

export interface RowsRead {
  /** The place behind what was read. */
  readonly end: number;
  readonly rows: number;
  /** Whether the line `\.` was read, which ends the rows. */
  readonly last: boolean;
}

/** Counts the lines of a COPY up to the one that ends it. */
export class RowCounter {
  #atLine = true;

  begin(): void {
    this.#atLine = true;
  }

  /** Reads rows from `at` on. The beginning of a line that may become the last one is left to be given again with the bytes that follow. */
  advance(data: Buffer, at: number): RowsRead {
    let rows = 0;
    while (at < data.length) {
      if (this.#atLine && data[at] === backslash) {
        if (at + 1 === data.length) return { end: at, rows, last: false };
        // COPY doubles a backslash of a value and knows no other escape that goes on with a dot.
        if (data[at + 1] === dot) {
          if (at + 2 === data.length) return { end: at, rows, last: false };
          if (data[at + 2] === newline) return { end: at + 3, rows, last: true };
          throw invalidDump('a row begins as the end of rows does, which COPY never writes');
        }
      }
      const end = data.indexOf(newline, at);
      this.#atLine = end >= 0;
      if (end < 0) return { end: data.length, rows, last: false };
      rows += 1;
      at = end + 1;
    }
    return { end: at, rows, last: false };
  }
}
