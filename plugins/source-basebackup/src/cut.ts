import { PgsiloError } from '@pgsilo/plugin';
import { ownerOf } from './layout.ts';
import { readTarHeader, tarBlock, type TarHeader } from './tar-header.ts';

/** Bytes of a tar, and whose they are. */
export interface Piece {
  readonly owner: string;
  readonly bytes: Uint8Array;
}

/**
 * Cuts one tar by the owners of its entries. Every byte of headers and contents stays what it is; only the blocks of zeros at the end are left out, as each artifact gets its own.
 * Holds no more than one header.
 */
export class TarCutter {
  readonly #tablespace: string | undefined;
  readonly #onEntry: (entry: TarHeader) => void;
  readonly #header = Buffer.alloc(tarBlock);
  #filled = 0;
  /** Of the entry that goes on: bytes still to come, the filling of its last block included. */
  #left = 0;
  #owner = '';
  #zeroBlocks = 0;

  constructor(tablespace: string | undefined, onEntry: (entry: TarHeader) => void) {
    this.#tablespace = tablespace;
    this.#onEntry = onEntry;
  }

  /** Throws `source.incomplete` for what is no tar. */
  *push(chunk: Uint8Array): Generator<Piece> {
    // Where the bytes of the present owner begin in this chunk; undefined: none are waiting.
    let from: number | undefined;
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        from ??= at;
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
        continue;
      }
      const taken = Math.min(tarBlock - this.#filled, chunk.length - at);
      const before = this.#owner;
      const whole = taken === tarBlock;
      this.#header.set(chunk.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled < tarBlock) {
        if (from !== undefined) yield { owner: before, bytes: chunk.subarray(from, at - taken) };
        from = undefined;
        continue;
      }
      this.#filled = 0;
      if (!this.#begin()) {
        if (from !== undefined) yield { owner: before, bytes: chunk.subarray(from, at - taken) };
        from = undefined;
        continue;
      }
      if (from !== undefined && this.#owner !== before) {
        yield { owner: before, bytes: chunk.subarray(from, at - taken) };
        from = undefined;
      }
      if (whole) from ??= at - taken;
      // A part of it came with the chunk before.
      else yield { owner: this.#owner, bytes: Buffer.from(this.#header) };
    }
    if (from !== undefined) yield { owner: this.#owner, bytes: chunk.subarray(from, at) };
  }

  /** Throws `source.incomplete` unless the tar has ended as one does. */
  end(): void {
    if (this.#left > 0 || this.#filled > 0 || this.#zeroBlocks < 2)
      throw new PgsiloError('source.incomplete', 'the server sent a tar without its end');
  }

  /** Takes the header that is whole now; false: it was one of the blocks of zeros at the end. */
  #begin(): boolean {
    const header = readTarHeader(this.#header);
    if (!header) {
      this.#zeroBlocks += 1;
      return false;
    }
    if (this.#zeroBlocks > 0)
      throw new PgsiloError('source.incomplete', 'the server sent a tar that goes on behind its end');
    this.#left = Math.ceil(header.size / tarBlock) * tarBlock;
    this.#owner = ownerOf(header, this.#tablespace);
    this.#onEntry(header);
    return true;
  }
}
