import { isSpace } from './bytes.ts';
import { isCopy, requireRowsFollow } from './copy-statement.ts';
import { invalidDump } from './errors.ts';
import { readCommand, type Command } from './psql-command.ts';
import { RowCounter } from './row-counter.ts';
import { SqlLexer } from './sql-lexer.ts';

/** What a dump is made of, in its order; the bytes of all pieces together are those of the dump. */
export type Piece = { readonly bytes: Buffer } & (
  | { readonly type: 'blank' }
  /** A line that begins with two dashes, between statements. */
  | { readonly type: 'comment' }
  /** A whole statement, semicolon included. */
  | { readonly type: 'statement' }
  /** A part of a statement too long to be held. */
  | { readonly type: 'part' }
  /** Lines of a COPY. The last piece holds the line `\.`, which is no row. */
  | { readonly type: 'rows'; readonly rows: number; readonly last: boolean }
  /** A line for psql. */
  | { readonly type: 'command'; readonly command: Command }
);

/** A statement of more bytes is passed on in parts, unlooked at. */
const longestStatement = 2 ** 20;
const longestLine = 65_536;
const [newline, minus, slash, backslash] = [10, 45, 47, 92];

/** In these a byte of a character can look like a quote or a backslash. No server has them, so that no pg_dump writes them unless it is told to. */
const unsafeEncodings = new Set(['SJIS', 'BIG5', 'GBK', 'UHC', 'GB18030', 'JOHAB', 'SHIFT_JIS_2004']);

/** Where reading begins, when that is not the beginning of the dump. */
export interface ReaderState {
  /** `client_encoding`, as it was set last. */
  readonly encoding: string;
  /** Whether backslashes escape in plain strings: `standard_conforming_strings = off`. */
  readonly backslashes: boolean;
}

/**
 * Reads a dump of pg_dumpall as psql would, but runs nothing: its bytes go in, in chunks of any size, and come out as pieces.
 * Commands of psql are known by where they stand; those that pg_dumpall does not write throw `source.archive-invalid`. Memory does not grow with the dump.
 */
export class DumpReader {
  encoding: string;
  backslashes: boolean;
  readonly #lexer = new SqlLexer();
  readonly #rows = new RowCounter();
  #inside: 'nothing' | 'statement' | 'copy' | 'rows' = 'nothing';
  /** Bytes of the statement so far; undefined: it became too long, and its parts are passed on. */
  #held: Buffer[] | undefined = [];
  #heldBytes = 0;
  /** The beginning of a line, or of rows, whose meaning depends on what follows. */
  #carry: Buffer = Buffer.alloc(0);

  constructor(state: ReaderState = { encoding: 'UTF8', backslashes: false }) {
    this.encoding = state.encoding;
    this.backslashes = state.backslashes;
  }

  *push(chunk: Uint8Array): Generator<Piece> {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const data = this.#carry.length > 0 ? Buffer.concat([this.#carry, fresh]) : fresh;
    let at = 0;
    while (at < data.length) {
      const { piece, next } = this.#next(data, at);
      if (piece) yield piece;
      if (next === undefined) break;
      at = next;
    }
    this.#carry = Buffer.from(data.subarray(at));
    if (this.#carry.length > longestLine)
      throw invalidDump('a line is longer than any that pg_dumpall writes');
  }

  /** The bytes have ended. Throws when they do so within anything. */
  end(): void {
    if (this.#inside === 'nothing' && this.#carry.length === 0) return;
    const where =
      this.#inside === 'nothing' ? 'a line' : this.#inside === 'statement' ? 'a statement' : 'rows';
    throw invalidDump(`it is cut: it ends within ${where}`);
  }

  /** One piece, and the place behind it; no place: it takes more bytes to tell. */
  #next(data: Buffer, at: number): { readonly piece?: Piece; readonly next?: number } {
    switch (this.#inside) {
      case 'nothing':
        return this.#between(data, at);
      case 'statement':
        return this.#statement(data, at);
      case 'copy':
        requireRowsFollow(data, at);
        this.#inside = 'rows';
        this.#rows.begin();
        return { piece: { type: 'blank', bytes: data.subarray(at, at + 1) }, next: at + 1 };
      case 'rows': {
        const { end, rows, last } = this.#rows.advance(data, at);
        if (last) this.#inside = 'nothing';
        if (end === at) return {};
        return { piece: { type: 'rows', bytes: data.subarray(at, end), rows, last }, next: end };
      }
    }
  }

  #between(data: Buffer, at: number): { readonly piece?: Piece; readonly next?: number } {
    let end = at;
    while (end < data.length && isSpace(data[end]!)) end += 1;
    if (end > at) return { piece: { type: 'blank', bytes: data.subarray(at, end) }, next: end };
    const first = data[at]!;
    if (first === backslash || (first === minus && (data[at + 1] ?? minus) === minus)) {
      const close = data.indexOf(newline, at);
      if (close < 0) return {};
      const bytes = data.subarray(at, close + 1);
      if (first === minus) return { piece: { type: 'comment', bytes }, next: close + 1 };
      return { piece: { type: 'command', bytes, command: readCommand(bytes) }, next: close + 1 };
    }
    if (first === slash && data.length === at + 1) return {};
    this.#lexer.begin(this.backslashes);
    this.#held = [];
    this.#heldBytes = 0;
    this.#inside = 'statement';
    return { next: at };
  }

  #statement(data: Buffer, at: number): { readonly piece?: Piece; readonly next?: number } {
    const end = this.#lexer.advance(data, at);
    const bytes = data.subarray(at, end);
    const { ended } = this.#lexer;
    if (ended) this.#inside = 'nothing';
    if (!this.#held) return { piece: { type: 'part', bytes }, next: end };
    // What is held must not keep whole chunks of the caller's alive, nor change with them.
    this.#held.push(ended ? bytes : Buffer.from(bytes));
    this.#heldBytes += bytes.length;
    const whole = ended || this.#heldBytes > longestStatement ? Buffer.concat(this.#held) : undefined;
    if (!whole) return { next: end };
    if (!ended || whole.length > longestStatement) {
      if (isCopy(whole)) throw invalidDump('a COPY is longer than any that pg_dump writes');
      this.#held = undefined;
      return { piece: { type: 'part', bytes: whole }, next: end };
    }
    if (isCopy(whole)) this.#inside = 'copy';
    else this.#look(whole);
    return { piece: { type: 'statement', bytes: whole }, next: end };
  }

  /** Settings that change how the rest is read. */
  #look(statement: Buffer): void {
    if (!statement.subarray(0, 4).equals(Buffer.from('SET '))) return;
    const text = statement.toString('latin1');
    const setting = /^SET (standard_conforming_strings|client_encoding)\b(.*);$/s.exec(text);
    if (!setting) return;
    const strings = setting[1] === 'standard_conforming_strings';
    const value = (strings ? /^ = (on|off)$/ : /^ = '([A-Za-z0-9_]+)'$/).exec(setting[2]!)?.[1];
    if (value === undefined) throw invalidDump(`${setting[1]} is set in a way that pg_dump does not write`);
    if (strings) this.backslashes = value === 'off';
    else if (unsafeEncodings.has(value))
      throw invalidDump(`it is in the encoding ${value}, in which SQL cannot be told from names safely`);
    else this.encoding = value;
  }
}
