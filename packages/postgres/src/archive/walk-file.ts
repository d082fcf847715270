import { createReadStream } from 'node:fs';
import type { Body } from '@pgsilo/plugin';
import type { BlockWalker } from './block-walker.ts';
import { invalidArchive } from './invalid.ts';
import { TocParser } from './toc-parser.ts';

const chunkBytes = 256 * 1024;

/** Payloads that lie in one chunk of the file, put together: pg_dump writes a piece for each row. */
export class Gathered {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  /** For a chunk of so many bytes: never more are added before the next. */
  makeRoom(bytes: number): void {
    this.#bytes = Buffer.allocUnsafe(bytes);
  }

  add(chunk: Buffer, from: number, to: number): void {
    this.#length += chunk.copy(this.#bytes, this.#length, from, to);
  }

  /** What was added since the last call; undefined: nothing. */
  take(): Uint8Array | undefined {
    if (this.#length === 0) return undefined;
    const taken = this.#bytes.subarray(0, this.#length);
    this.#bytes = this.#bytes.subarray(this.#length);
    this.#length = 0;
    return taken;
  }
}

/**
 * Walks the data blocks of an archive in a file, and yields after each chunk of up to 256 KiB, when `gathered` is to be taken.
 * Throws `source.archive-invalid` for an archive that is cut.
 * @param begin makes the walker, once the table of contents was read.
 */
export async function* walkFile(
  file: string,
  gathered: Gathered,
  begin: (parser: TocParser) => BlockWalker,
): AsyncGenerator<undefined> {
  const parser = new TocParser({ keep: () => false });
  let walker: BlockWalker | undefined;
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes }) as Body) {
    let bytes: Uint8Array = chunk;
    if (!walker) {
      const rest = parser.push(chunk);
      if (!rest) continue;
      walker = begin(parser);
      bytes = rest;
    }
    gathered.makeRoom(bytes.byteLength);
    walker.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    yield undefined;
  }
  if (!walker) throw invalidArchive(`it is cut: it ends within ${parser.place}`);
  walker.end();
}
