import { invalidArchive } from './invalid.ts';

/** Thrown, and caught by the parser, when an item is not wholly in memory yet. */
export class NeedBytes {
  /** How many bytes from the start of the item are needed at least. */
  readonly total: number;
  constructor(total: number) {
    this.total = total;
  }
}

/** Nothing in a table of contents is longer: more is a damaged length, and must not make us buffer it. */
const longestText = 256 * 2 ** 20;

/** Reads pg_dump's integers and strings out of a piece of memory, from the front. */
export class ByteCursor {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  /** Where the item that is being read began. */
  start = 0;
  /** Bytes of an integer, without its sign; from the header. */
  intSize = 4;

  need(count: number): void {
    if (this.at + count > this.bytes.length) throw new NeedBytes(this.at + count - this.start);
  }

  byte(): number {
    this.need(1);
    return this.bytes[this.at++]!;
  }

  /** A sign byte and a little-endian magnitude. */
  int(): number {
    const size = this.intSize;
    this.need(size + 1);
    const sign = this.bytes[this.at]!;
    if (sign > 1) throw invalidArchive(`byte ${sign} where the sign of an integer should be`);
    let value = 0;
    for (let index = size; index >= 1; index -= 1) value = value * 256 + this.bytes[this.at + index]!;
    if (value > 0xffff_ffff) throw invalidArchive(`integer ${value} is out of range`);
    this.at += size + 1;
    return sign === 1 ? -value : value;
  }

  /** The bytes of a string; undefined for NULL. A view: valid until the next push. */
  text(): Uint8Array | undefined {
    const length = this.int();
    if (length < 0) return undefined;
    if (length > longestText) throw invalidArchive(`a string of ${length} bytes in the table of contents`);
    this.need(length);
    const slice = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return slice;
  }

  skip(count: number): void {
    this.need(count);
    this.at += count;
  }
}
