import { invalidArchive } from './invalid.ts';

/** What the archive holds for one entry with data. */
export interface DataCount {
  /** Rows, where the block is COPY text that is not compressed; undefined for INSERT statements, large objects and compressed archives. */
  readonly rows: number | undefined;
  /** Bytes of payload as they lie in the archive. */
  readonly bytes: number;
  /** Where the block lies, counted from the first byte behind the table of contents: its first byte, and the one behind its last. */
  readonly start: number;
  readonly end: number;
}

const blockOfRows = 1;
const blockOfLargeObjects = 3;
const newline = 10;
const newlines = 0x0a0a0a0a;

type Expecting = 'block' | 'id' | 'length' | 'payload' | 'oid';

/**
 * Walks the data part of an archive as its bytes arrive: blocks, each of a type, an entry's number, and pieces with a length that end with an empty one.
 * pg_dump without compression writes a piece for each row, so nothing is allocated for a piece.
 */
export class BlockWalker {
  /** Filled as blocks end. */
  readonly counts: Map<number, DataCount> = new Map();
  /** How many large objects came by, whichever entry they belong to. */
  largeObjects = 0;

  readonly #entries: ReadonlyMap<number, string>;
  readonly #copied: (dumpId: number) => boolean;
  readonly #onBlock: ((dumpId: number, start: number) => void) | undefined;
  readonly #onPayload: ((chunk: Buffer, from: number, to: number) => void) | undefined;
  readonly #onLargeObject: ((oid: number) => void) | undefined;
  readonly #intBytes: number;
  readonly #carry: Buffer;
  #carried = 0;
  #expecting: Expecting = 'block';
  #type = 0;
  #dumpId = 0;
  #remaining = 0;
  #bytes = 0;
  /** Bytes of earlier chunks, and where the block in hand began. */
  #passed = 0;
  #started = 0;
  #lines = 0;
  #countLines = false;
  #words: Int32Array = new Int32Array();
  /** The last five bytes of the payload, as two numbers: the first, and the other four. */
  #tailFirst = 0;
  #tailRest = 0;

  /**
   * @param intSize from the archive's header
   * @param entries the entries that have data, by number, with their kind
   * @param copied whether the entry's data is COPY text in the clear
   * @param onBlock told of each block as soon as it is known whose it is, with the place of its first byte, counted as in {@link DataCount}
   * @param onPayload sees the payload of the block that `onBlock` was told of last, a piece of a chunk at a time
   * @param onLargeObject told of each large object, whose payload follows
   */
  constructor(
    intSize: number,
    entries: ReadonlyMap<number, string>,
    copied: (dumpId: number) => boolean,
    onBlock?: (dumpId: number, start: number) => void,
    onPayload?: (chunk: Buffer, from: number, to: number) => void,
    onLargeObject?: (oid: number) => void,
  ) {
    this.#intBytes = intSize + 1;
    this.#carry = Buffer.alloc(this.#intBytes);
    this.#entries = entries;
    this.#copied = copied;
    this.#onBlock = onBlock;
    this.#onPayload = onPayload;
    this.#onLargeObject = onLargeObject;
  }

  /** Where a block begins of which it is not known yet whose it is; undefined: there is none. */
  get undecided(): number | undefined {
    return this.#expecting === 'id' ? this.#started : undefined;
  }

  push(chunk: Buffer): void {
    const end = chunk.length;
    // The same bytes by fours.
    this.#words = new Int32Array(chunk.buffer, 0, chunk.buffer.byteLength >> 2);
    const intBytes = this.#intBytes;
    let at = 0;
    while (at < end) {
      if (this.#expecting === 'payload') {
        const stop = Math.min(end, at + this.#remaining);
        this.#scan(chunk, at, stop);
        this.#onPayload?.(chunk, at, stop);
        this.#remaining -= stop - at;
        at = stop;
        if (this.#remaining === 0) this.#expecting = 'length';
      } else if (this.#expecting === 'block') {
        this.#startBlock(chunk[at]!);
        this.#started = this.#passed + at;
        at += 1;
      } else if (this.#carried === 0 && end - at >= intBytes) {
        at += intBytes;
        this.#take(readInt(chunk, at - intBytes, intBytes), this.#passed + at);
      } else {
        const count = Math.min(intBytes - this.#carried, end - at);
        chunk.copy(this.#carry, this.#carried, at, at + count);
        this.#carried += count;
        at += count;
        if (this.#carried < intBytes) break;
        this.#carried = 0;
        this.#take(readInt(this.#carry, 0, intBytes), this.#passed + at);
      }
    }
    this.#passed += end;
  }

  /** Throws when the bytes ended within a block, or before every entry with data had one. */
  end(): void {
    if (this.#expecting !== 'block')
      throw invalidArchive(`it is cut: the data of entry ${this.#dumpId} does not end`);
    for (const [dumpId, desc] of this.#entries) {
      if (!this.counts.has(dumpId))
        throw invalidArchive(`it is cut: the data of entry ${dumpId} (${desc}) is not there`);
    }
  }

  #startBlock(type: number): void {
    if (type !== blockOfRows && type !== blockOfLargeObjects) {
      const after =
        this.counts.size === this.#entries.size ? 'after its last block' : `after ${this.counts.size} blocks`;
      throw invalidArchive(`byte ${type} where a data block should begin, ${after}`);
    }
    this.#type = type;
    this.#expecting = 'id';
  }

  #take(value: number, at: number): void {
    if (this.#expecting === 'length') {
      if (value < 0) throw invalidArchive(`a piece of ${value} bytes in the data of entry ${this.#dumpId}`);
      if (value > 0) {
        this.#remaining = value;
        this.#bytes += value;
        this.#expecting = 'payload';
      } else if (this.#type === blockOfLargeObjects) this.#expecting = 'oid';
      else this.#endBlock(at);
    } else if (this.#expecting === 'oid') {
      if (value === 0) this.#endBlock(at);
      else {
        this.largeObjects += 1;
        // pg_dump writes an OID as a signed integer.
        this.#onLargeObject?.(value >>> 0);
        this.#expecting = 'length';
      }
    } else this.#beginEntry(value);
  }

  #beginEntry(dumpId: number): void {
    const desc = this.#entries.get(dumpId);
    if (desc === undefined) throw invalidArchive(`data for entry ${dumpId}, which has none`);
    if (this.counts.has(dumpId)) throw invalidArchive(`a second block of data for entry ${dumpId}`);
    const isLargeObjects = this.#type === blockOfLargeObjects;
    if ((desc === 'BLOBS') !== isLargeObjects) {
      throw invalidArchive(`a block of type ${this.#type} for entry ${dumpId}, which is ${desc}`);
    }
    this.#onBlock?.(dumpId, this.#started);
    this.#dumpId = dumpId;
    this.#bytes = 0;
    this.#lines = 0;
    this.#tailFirst = 0;
    this.#tailRest = 0;
    this.#countLines = !isLargeObjects && this.#copied(dumpId);
    this.#expecting = isLargeObjects ? 'oid' : 'length';
  }

  #endBlock(end: number): void {
    const rows = this.#countLines ? this.#rows() : undefined;
    this.counts.set(this.#dumpId, { rows, bytes: this.#bytes, start: this.#started, end });
    this.#expecting = 'block';
  }

  /** pg_dump closes COPY text with `\.` and two empty lines; a row's own line ends are escaped. */
  #rows(): number {
    if (this.#tailFirst !== 0x5c || this.#tailRest !== 0x2e0a0a0a) {
      throw invalidArchive(`the rows of entry ${this.#dumpId} do not end with the mark that pg_dump writes`);
    }
    return this.#lines - 3;
  }

  #scan(chunk: Buffer, from: number, to: number): void {
    if (!this.#countLines) return;
    this.#lines += countNewlines(chunk, this.#words, from, to);
    if (to - from >= 5) {
      this.#tailFirst = chunk[to - 5]!;
      this.#tailRest =
        ((chunk[to - 4]! << 24) | (chunk[to - 3]! << 16) | (chunk[to - 2]! << 8) | chunk[to - 1]!) >>> 0;
      return;
    }
    for (let at = from; at < to; at += 1) {
      this.#tailFirst = this.#tailRest >>> 24;
      this.#tailRest = ((this.#tailRest << 8) | chunk[at]!) >>> 0;
    }
  }
}

/** Newlines in `bytes` from one place to another; `words` are the bytes of the whole memory that `bytes` is a view of. Rows are most of an archive, so four bytes are looked at in one step. */
function countNewlines(bytes: Buffer, words: Int32Array, from: number, to: number): number {
  const base = bytes.byteOffset;
  let count = 0;
  let at = from;
  for (; at < to && ((base + at) & 3) !== 0; at += 1) if (bytes[at] === newline) count += 1;
  for (const last = to - 3; at < last; at += 4) {
    const differs = words[(base + at) >> 2]! ^ newlines;
    // Not 0 where a byte of `differs` is 0, that is: a newline.
    if (((differs - 0x01010101) & ~differs & 0x80808080) === 0) continue;
    for (let each = at; each < at + 4; each += 1) if (bytes[each] === newline) count += 1;
  }
  for (; at < to; at += 1) if (bytes[at] === newline) count += 1;
  return count;
}

function readInt(bytes: Buffer, at: number, intBytes: number): number {
  const sign = bytes[at]!;
  if (sign > 1) throw invalidArchive(`byte ${sign} where the sign of an integer should be, in the data`);
  let value = 0;
  for (let index = intBytes - 1; index >= 1; index -= 1) value = value * 256 + bytes[at + index]!;
  return sign === 1 ? -value : value;
}
