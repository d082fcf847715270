import { inTag, inWord, isSpace, startsWord } from './bytes.ts';
import { invalidDump } from './errors.ts';

type Mode =
  | 'code'
  | 'word'
  | 'tag'
  | 'string'
  | 'escaped'
  | 'escape'
  | 'escaped-quote'
  | 'name'
  | 'line-comment'
  | 'block-comment'
  | 'dollar';

const [newline, quote, doubleQuote, dollar, backslash, semicolon] = [10, 39, 34, 36, 92, 59];
const [open, close, minus, slash, star] = [40, 41, 45, 47, 42];

/** Names and the tags of dollar quotes have 63 bytes at most; what is longer is no SQL of pg_dump. */
const longestWord = 4096;

/**
 * Finds where a statement ends, as psql does: at the first semicolon that stands in no quote, comment, parentheses or SQL body of a function.
 * Bytes come in chunks of any size; what is kept between them is some bytes of state.
 */
export class SqlLexer {
  #mode: Mode = 'code';
  /** Whether a plain `'…'` takes backslashes as escapes: `standard_conforming_strings = off`. */
  #backslashes = false;
  /** Whether the last token was an E'' string: one that follows continues it. */
  #continues = false;
  /** The byte before, where two make a token. */
  #last = 0;
  #parentheses = 0;
  #comments = 0;
  /** The word or tag that is being read. */
  #word = '';
  #tag: Buffer = Buffer.alloc(0);
  /** How much of the tag that closes a dollar quote has been seen. */
  #matched = 0;
  /** The first words of the statement: whether it is a CREATE FUNCTION, in whose SQL body semicolons end nothing. */
  #words: string[] = [];
  #blocks = 0;
  #ended = false;

  /** Begins a statement. */
  begin(backslashes: boolean): void {
    this.#mode = 'code';
    this.#backslashes = backslashes;
    this.#continues = false;
    this.#last = 0;
    this.#parentheses = 0;
    this.#words = [];
    this.#blocks = 0;
    this.#ended = false;
  }

  /** Whether the semicolon has come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Reads on from `at` and returns the place behind the statement's end, or that of the data. */
  advance(data: Buffer, at: number): number {
    while (at < data.length && !this.#ended) at = this.#step(data, at);
    return at;
  }

  #step(data: Buffer, at: number): number {
    switch (this.#mode) {
      case 'code':
        return this.#code(data, at);
      case 'word':
        return this.#readWord(data, at);
      case 'tag':
        return this.#readTag(data, at);
      case 'string':
        // A doubled quote ends one string and begins another, which comes to the same.
        return this.#until(data, at, quote);
      case 'name':
        return this.#until(data, at, doubleQuote);
      case 'line-comment':
        return this.#until(data, at, newline);
      case 'escaped':
        return this.#escaped(data, at);
      case 'escape':
        this.#mode = 'escaped';
        return at + 1;
      case 'escaped-quote':
        return this.#afterQuote(data, at);
      case 'block-comment':
        return this.#comment(data, at);
      case 'dollar':
        return this.#dollar(data, at);
    }
  }

  #until(data: Buffer, at: number, byte: number): number {
    const end = data.indexOf(byte, at);
    if (end < 0) return data.length;
    this.#mode = 'code';
    return end + 1;
  }

  #escaped(data: Buffer, at: number): number {
    for (; at < data.length; at += 1) {
      if (data[at] === backslash) {
        this.#mode = 'escape';
        return at + 1;
      }
      if (data[at] === quote) {
        this.#mode = 'escaped-quote';
        return at + 1;
      }
    }
    return at;
  }

  #afterQuote(data: Buffer, at: number): number {
    if (data[at] === quote) {
      this.#mode = 'escaped';
      return at + 1;
    }
    this.#mode = 'code';
    this.#continues = true;
    return at;
  }

  #comment(data: Buffer, at: number): number {
    for (; at < data.length; at += 1) {
      const byte = data[at]!;
      const opens = this.#last === slash && byte === star;
      const closes = this.#last === star && byte === slash;
      this.#last = opens || closes ? 0 : byte;
      if (opens) this.#comments += 1;
      else if (closes && --this.#comments === 0) {
        this.#mode = 'code';
        return at + 1;
      }
    }
    return at;
  }

  #dollar(data: Buffer, at: number): number {
    while (at < data.length) {
      if (this.#matched === 0) {
        at = data.indexOf(dollar, at);
        if (at < 0) return data.length;
      }
      // A dollar stands at the tag's ends alone, so that a mismatch can begin no other match but at itself.
      if (data[at] === this.#tag[this.#matched]) this.#matched += 1;
      else this.#matched = data[at] === dollar ? 1 : 0;
      at += 1;
      if (this.#matched === this.#tag.length) {
        this.#mode = 'code';
        return at;
      }
    }
    return at;
  }

  #readWord(data: Buffer, at: number): number {
    let end = at;
    while (end < data.length && inWord(data[end]!)) end += 1;
    this.#collect(data, at, end);
    if (end === data.length) return end;
    this.#mode = 'code';
    if (data[end] === quote && (this.#word === 'E' || this.#word === 'e')) {
      this.#mode = 'escaped';
      return end + 1;
    }
    this.#count(this.#word.toLowerCase());
    return end;
  }

  #readTag(data: Buffer, at: number): number {
    let end = at;
    while (end < data.length && inTag(data[end]!)) end += 1;
    this.#collect(data, at, end);
    if (end === data.length) return end;
    this.#mode = 'code';
    // A parameter such as $1, or an operator.
    if (data[end] !== dollar || /^\d/.test(this.#word)) return end;
    this.#tag = Buffer.from(`$${this.#word}$`, 'latin1');
    this.#matched = 0;
    this.#mode = 'dollar';
    return end + 1;
  }

  #collect(data: Buffer, from: number, end: number): void {
    this.#word += data.toString('latin1', from, end);
    if (this.#word.length > longestWord) throw invalidDump('a name is longer than any of PostgreSQL');
  }

  #code(data: Buffer, at: number): number {
    for (; at < data.length; at += 1) {
      const byte = data[at]!;
      const last = this.#last;
      this.#last = byte;
      if (isSpace(byte)) continue;
      if (byte === minus && last === minus) {
        this.#last = 0;
        return this.#enter('line-comment', at);
      }
      if (byte === star && last === slash) {
        this.#comments = 1;
        this.#last = 0;
        return this.#enter('block-comment', at);
      }
      const continues = this.#continues;
      this.#continues = false;
      if (byte === quote) return this.#enter(this.#backslashes || continues ? 'escaped' : 'string', at);
      if (byte === doubleQuote) return this.#enter('name', at);
      if (byte === dollar || startsWord(byte)) {
        this.#word = '';
        this.#last = 0;
        this.#mode = byte === dollar ? 'tag' : 'word';
        return byte === dollar ? at + 1 : at;
      }
      if (byte === open) this.#parentheses += 1;
      else if (byte === close) this.#parentheses = Math.max(0, this.#parentheses - 1);
      else if (byte === semicolon && this.#parentheses === 0 && this.#blocks === 0) {
        this.#ended = true;
        return at + 1;
      } else if (byte === backslash) {
        throw invalidDump('a command of psql stands within a statement, and pg_dumpall puts none there');
      }
    }
    return at;
  }

  #enter(mode: Mode, at: number): number {
    this.#mode = mode;
    return at + 1;
  }

  /** As psql does it: BEGIN … END of a function's SQL body, and each CASE … END in it. */
  #count(word: string): void {
    if (this.#words.length < 4) this.#words.push(word);
    const [first, ...others] = this.#words;
    const kind = others[0] === 'or' && others[1] === 'replace' ? others[2] : others[0];
    if (first !== 'create' || (kind !== 'function' && kind !== 'procedure') || this.#parentheses > 0) return;
    if (word === 'begin' || (word === 'case' && this.#blocks > 0)) this.#blocks += 1;
    else if (word === 'end' && this.#blocks > 0) this.#blocks -= 1;
  }
}
