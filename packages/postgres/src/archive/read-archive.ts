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

/**
 * Reads an archive to its end in memory that grows only with its table of contents.
 * Throws `source.archive-invalid` for anything unexpected: another format or version, a cut at any place, an unknown block, bytes after the last block,
 * data for an entry that has none, an entry whose data is missing.
 */
export async function readArchive(body: Body, options: ReadArchiveOptions = {}): Promise<ArchiveContents> {
  const inClear = new Set<number>();
  const parser = new TocParser({
    keep: (entry) => {
      if (entry.hasData && entry.copyStatement !== '') inClear.add(entry.dumpId);
      return options.keep ? options.keep(entry) : true;
    },
  });
  let walker: BlockWalker | undefined;
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (walker) {
      walker.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      continue;
    }
    const rest = parser.push(chunk);
    if (!rest) continue;
    const toc = parser.toc!;
    options.onToc?.(toc);
    const compressed = toc.header.compression !== 'none';
    walker = new BlockWalker(parser.intSize, parser.withData, (dumpId) => !compressed && inClear.has(dumpId));
    walker.push(rest);
  }
  if (bytes === 0) throw invalidArchive('it is empty');
  if (!walker) throw invalidArchive(`it is cut: it ends within ${parser.place}`);
  walker.end();
  return { toc: parser.toc!, data: walker.counts, largeObjects: walker.largeObjects, bytes };
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
