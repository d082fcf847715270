import { BlockWalker } from './block-walker.ts';
import { invalidArchive } from './invalid.ts';
import type { TocParser } from './toc-parser.ts';
import { Gathered, walkFile } from './walk-file.ts';

/** The rows of one table. */
export interface ArchiveRows {
  /** Its TABLE DATA entry. */
  readonly dumpId: number;
  /** COPY text, with the mark that pg_dump ends it with. To be read to its end before the next table is asked for. */
  readonly rows: AsyncIterable<Uint8Array>;
}

type Piece = { readonly dumpId: number } | { readonly bytes: Uint8Array };

/**
 * The rows of every table of an archive in a file, in the archive's order, in memory that grows with its table of contents only.
 * Throws `source.archive-invalid` for an archive that is compressed by pg_dump, holds large objects, or is cut: then within the last table's rows.
 */
export async function* archiveRows(file: string): AsyncGenerator<ArchiveRows> {
  const pieces = readPieces(file);
  try {
    let next = await pieces.next();
    while (!next.done) {
      if (!('dumpId' in next.value))
        throw new Error('the rows of the table before were not read to their end');
      const { dumpId } = next.value;
      const rest = async function* (): AsyncGenerator<Uint8Array> {
        for (next = await pieces.next(); !next.done && 'bytes' in next.value; next = await pieces.next())
          yield next.value.bytes;
      };
      yield { dumpId, rows: rest() };
    }
  } finally {
    await pieces.return(undefined);
  }
}

async function* readPieces(file: string): AsyncGenerator<Piece, undefined> {
  const found: Piece[] = [];
  const gathered = new Gathered();
  const flush = (): void => {
    const bytes = gathered.take();
    if (bytes) found.push({ bytes });
  };
  const onBlock = (dumpId: number): void => {
    flush();
    found.push({ dumpId });
  };
  const begin = (parser: TocParser): BlockWalker => {
    requireRows(parser);
    return new BlockWalker(
      parser.intSize,
      parser.withData,
      () => true,
      onBlock,
      (chunk, from, to) => gathered.add(chunk, from, to),
    );
  };
  for await (const _ of walkFile(file, gathered, begin)) {
    flush();
    yield* found.splice(0);
  }
}

function requireRows(parser: TocParser): void {
  const { compression } = parser.toc!.header;
  if (compression !== 'none') throw invalidArchive(`its rows are compressed with ${compression}`);
  for (const desc of parser.withData.values())
    if (desc !== 'TABLE DATA') throw invalidArchive(`it holds ${desc} beside the rows of tables`);
}
