import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** A table of contents above this lies on disk, but for its last piece. */
const mostInMemory = 64 * 2 ** 20;
const slabBytes = 2 ** 20;

/** Where neighbouring entries of one group lie. `next` is the number of the group's next run, -1 behind its last. */
interface Run {
  readonly slab: number;
  readonly start: number;
  end: number;
  next: number;
}

interface Chain {
  first: number;
  last: number;
  entries: number;
}

/** Memory that entries are copied into, or where it was written to in the file. */
type Slab = { readonly bytes: Buffer } | { readonly position: number };

/**
 * The entries of a table of contents as bytes, by group, in the order in which they came. An archive has hundreds of thousands of entries,
 * but those of one group lie together kind by kind: what is remembered besides their bytes is one record for each such run.
 */
export class SplitToc {
  readonly #folder: () => Promise<string>;
  readonly #limit: number;
  readonly #chains: Chain[] = [];
  readonly #runs: Run[] = [];
  readonly #slabs: Slab[] = [];
  #free = 0;
  #inMemory = 0;
  #written = 0;
  /** The first slab that may still have to be written. */
  #oldest = 0;
  #file: FileHandle | undefined;
  #path: string | undefined;

  /** @param folder a scratch folder, asked for when the memory is full. */
  constructor(folder: () => Promise<string>, limit: number = mostInMemory) {
    this.#folder = folder;
    this.#limit = limit;
  }

  /** Copies an entry. Returns the copy, which may be changed until the next call. */
  add(group: number, raw: Uint8Array): Buffer {
    const current = this.#slabs.at(-1);
    const fits = current && 'bytes' in current && this.#free + raw.length <= current.bytes.length;
    const slab = fits ? current.bytes : this.#newSlab(raw.length);
    const start = this.#free;
    slab.set(raw, start);
    this.#free += raw.length;
    this.#remember(group, start);
    return slab.subarray(start, this.#free);
  }

  /** How many entries the group has. */
  entriesOf(group: number): number {
    return this.#chains[group]?.entries ?? 0;
  }

  /** Writes to disk what is above the limit; to be called between entries. */
  async settle(): Promise<void> {
    while (this.#inMemory > this.#limit && this.#oldest < this.#slabs.length - 1) {
      const slab = this.#slabs[this.#oldest]!;
      if ('bytes' in slab) {
        const file = await this.#openFile();
        await writeAll(file, slab.bytes, this.#written);
        this.#slabs[this.#oldest] = { position: this.#written };
        this.#written += slab.bytes.length;
        this.#inMemory -= slab.bytes.length;
      }
      this.#oldest += 1;
    }
  }

  /** The bytes of the group's entries, in their order. */
  async *read(group: number): AsyncGenerator<Uint8Array> {
    for (let at = this.#chains[group]?.first ?? -1; at >= 0; at = this.#runs[at]!.next) {
      const { slab, start, end } = this.#runs[at]!;
      const held = this.#slabs[slab]!;
      if ('bytes' in held) yield held.bytes.subarray(start, end);
      else {
        const bytes = Buffer.alloc(end - start);
        await this.#file!.read(bytes, 0, bytes.length, held.position + start);
        yield bytes;
      }
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    if (this.#path !== undefined) await rm(this.#path, { force: true });
    this.#file = undefined;
    this.#path = undefined;
  }

  #newSlab(bytes: number): Buffer {
    const slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytes));
    this.#slabs.push({ bytes: slab });
    this.#inMemory += slab.length;
    this.#free = 0;
    return slab;
  }

  #remember(group: number, start: number): void {
    const slab = this.#slabs.length - 1;
    let chain = this.#chains[group];
    if (!chain) {
      chain = { first: -1, last: -1, entries: 0 };
      this.#chains[group] = chain;
    }
    chain.entries += 1;
    const last = this.#runs[chain.last];
    if (last?.slab === slab && last.end === start) {
      last.end = this.#free;
      return;
    }
    const number = this.#runs.push({ slab, start, end: this.#free, next: -1 }) - 1;
    if (last) last.next = number;
    else chain.first = number;
    chain.last = number;
  }

  async #openFile(): Promise<FileHandle> {
    if (this.#file) return this.#file;
    this.#path = join(await this.#folder(), 'table-of-contents');
    this.#file = await open(this.#path, 'wx+', 0o600);
    return this.#file;
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}
