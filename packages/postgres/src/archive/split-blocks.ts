import { BlockWalker } from './block-walker.ts';

/** Bytes of whole blocks, or of a part of one, that belong to one group. */
export interface Piece {
  readonly group: number;
  /** How many blocks begin in it. */
  readonly blocks: number;
  readonly bytes: Buffer;
}

/** Cuts the data part of an archive where it passes from one group to the next, as its bytes arrive. */
export class SplitBlocks {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #walker: BlockWalker;
  /** Blocks that began in the chunk in hand, by group and place. */
  readonly #begun: { readonly group: number; readonly start: number }[] = [];
  #pieces: Piece[] = [];
  #group = -1;
  #passed = 0;
  /** The first bytes of a block, before it is known whose it is. */
  #held: Buffer = Buffer.alloc(0);
  #next: Buffer | undefined;
  #ended = false;

  /**
   * @param rest the bytes behind the table of contents that have been read already; `chunks` are those after them
   * @param entries the entries that have data, by number, with their kind
   * @param groupOf the group of an entry with data
   */
  constructor(
    rest: Buffer,
    chunks: AsyncIterator<Uint8Array>,
    intSize: number,
    entries: ReadonlyMap<number, string>,
    groupOf: (dumpId: number) => number,
  ) {
    this.#next = rest;
    this.#chunks = chunks;
    this.#walker = new BlockWalker(
      intSize,
      entries,
      () => false,
      (dumpId, start) => this.#begun.push({ group: groupOf(dumpId), start }),
    );
  }

  /** The next piece, which stays the next one until it is taken; undefined when the archive has ended, and was whole. */
  async peek(): Promise<Piece | undefined> {
    while (this.#pieces.length === 0 && !this.#ended) await this.#readOn();
    return this.#pieces[0];
  }

  take(): void {
    this.#pieces.shift();
  }

  async #readOn(): Promise<void> {
    let chunk = this.#next;
    this.#next = undefined;
    if (!chunk) {
      const result = await this.#chunks.next();
      if (result.done) {
        this.#walker.end();
        this.#ended = true;
        return;
      }
      chunk = Buffer.from(result.value.buffer, result.value.byteOffset, result.value.byteLength);
    }
    const first = this.#passed - this.#held.length;
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#walker.push(chunk);
    this.#passed += chunk.length;
    let from = first;
    let blocks = 0;
    for (const { group, start } of this.#begun.splice(0)) {
      if (group !== this.#group) {
        this.#cut(bytes.subarray(from - first, start - first), blocks);
        this.#group = group;
        from = start;
        blocks = 0;
      }
      blocks += 1;
    }
    const until = this.#walker.undecided ?? this.#passed;
    this.#cut(bytes.subarray(from - first, until - first), blocks);
    // A copy: the chunk's memory must not be kept for a few bytes.
    this.#held = Buffer.from(bytes.subarray(until - first));
  }

  #cut(bytes: Buffer, blocks: number): void {
    if (bytes.length > 0) this.#pieces.push({ group: this.#group, blocks, bytes });
  }
}
