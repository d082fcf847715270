import type { Body } from '@pgsilo/plugin';
import { BlockWalker, type DataCount } from './block-walker.ts';
import { invalidArchive } from './invalid.ts';
import { TocParser } from './toc-parser.ts';
import type { Toc, TocEntry } from './toc.ts';

export interface ArchiveContents {
  readonly toc: Toc;
  /** By dump id, for every entry with data, kept in `toc.entries` or not. */
  readonly data: ReadonlyMap<number, DataCount>;
  /** Large objects whose content is in the archive. */
  readonly largeObjects: number;
  /** Length of the archive. */
  readonly bytes: number;
}

export interface ReadArchiveOptions {
  /** Which entries to keep in `toc.entries`; all when absent. */
  readonly keep?: (entry: TocEntry) => boolean;
  /** Called once when the table of contents is whole, before the data is read. */
  readonly onToc?: (toc: Toc) => void;
}

/** Reads an archive as its bytes arrive, in memory that grows only with its table of contents. Throws `source.archive-invalid` as {@link readArchive} does. */
export class ArchiveReader {
  readonly #options: ReadArchiveOptions;
  /** Entries whose data is COPY text. */
  readonly #copied = new Set<number>();
  readonly #parser: TocParser;
  #walker: BlockWalker | undefined;
  #bytes = 0;

  constructor(options: ReadArchiveOptions = {}) {
    this.#options = options;
    const { keep } = options;
    this.#parser = new TocParser({
      keep: (entry) => {
        if (entry.hasData && entry.copyStatement !== '') this.#copied.add(entry.dumpId);
        return keep ? keep(entry) : true;
      },
    });
  }

  /** Which part is being read, for messages. */
  get place(): string {
    return this.#parser.place;
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.byteLength;
    if (this.#walker) {
      this.#walker.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      return;
    }
    const rest = this.#parser.push(chunk);
    if (!rest) return;
    const toc = this.#parser.toc!;
    const inClear = toc.header.compression === 'none';
    this.#walker = new BlockWalker(
      this.#parser.intSize,
      this.#parser.withData,
      (dumpId) => inClear && this.#copied.has(dumpId),
    );
    this.#options.onToc?.(toc);
    this.#walker.push(rest);
  }

  /** To be called when the bytes have ended. */
  end(): ArchiveContents {
    if (this.#bytes === 0) throw invalidArchive('it is empty');
    if (!this.#walker) throw invalidArchive(`it is cut: it ends within ${this.place}`);
    this.#walker.end();
    const { counts: data, largeObjects } = this.#walker;
    return { toc: this.#parser.toc!, data, largeObjects, bytes: this.#bytes };
  }
}

/**
 * Reads an archive to its end in memory that grows only with its table of contents.
 * Throws `source.archive-invalid` for anything unexpected: another format or version, a cut at any place, an unknown block, bytes after the last block,
 * data for an entry that has none, an entry whose data is missing.
 */
export async function readArchive(body: Body, options: ReadArchiveOptions = {}): Promise<ArchiveContents> {
  const reader = new ArchiveReader(options);
  for await (const chunk of body) reader.push(chunk);
  return reader.end();
}

/** Reads the table of contents alone and stops reading `body` there. A whole table of contents proves nothing about the data behind it. */
export async function readToc(body: Body, keep?: (entry: TocEntry) => boolean): Promise<Toc> {
  const parser = new TocParser({ keep });
  let empty = true;
  for await (const chunk of body) {
    empty &&= chunk.byteLength === 0;
    if (parser.push(chunk)) return parser.toc!;
  }
  throw invalidArchive(empty ? 'it is empty' : `it is cut: it ends within ${parser.place}`);
}
