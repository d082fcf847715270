import { createReadStream } from 'node:fs';
import type { Body } from '@pgsilo/plugin';
import { BlockWalker } from './block-walker.ts';
import { invalidArchive } from './invalid.ts';
import { TocParser } from './toc-parser.ts';

/** The rows of one table. */
export interface ArchiveRows {
  /** Its TABLE DATA entry. */
  readonly dumpId: number;
  /** COPY text, with the mark that pg_dump ends it with. To be read to its end before the next table is asked for. */
  readonly rows: AsyncIterable<Uint8Array>;
}

type Piece = { readonly dumpId: number } | { readonly bytes: Uint8Array };

const chunkBytes = 256 * 1024;

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
  const parser = new TocParser({ keep: () => false });
  const found: Piece[] = [];
  let gathered: Buffer = Buffer.alloc(0);
  let length = 0;
  // pg_dump writes a piece for each row; what follows another in a chunk is handed on with it.
  const flush = (): void => {
    if (length > 0) found.push({ bytes: gathered.subarray(0, length) });
    gathered = gathered.subarray(length);
    length = 0;
  };
  const onBlock = (dumpId: number): void => {
    flush();
    found.push({ dumpId });
  };
  const onPayload = (chunk: Buffer, from: number, to: number): void => {
    length += chunk.copy(gathered, length, from, to);
  };
  let walker: BlockWalker | undefined;
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes }) as Body) {
    let bytes: Uint8Array = chunk;
    if (!walker) {
      const rest = parser.push(chunk);
      if (!rest) continue;
      requireRows(parser);
      walker = new BlockWalker(parser.intSize, parser.withData, () => true, onBlock, onPayload);
      bytes = rest;
    }
    gathered = Buffer.allocUnsafe(bytes.byteLength);
    walker.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    flush();
    yield* found.splice(0);
  }
  if (!walker) throw invalidArchive(`it is cut: it ends within ${parser.place}`);
  walker.end();
}

function requireRows(parser: TocParser): void {
  const { compression } = parser.toc!.header;
  if (compression !== 'none') throw invalidArchive(`its rows are compressed with ${compression}`);
  for (const desc of parser.withData.values())
    if (desc !== 'TABLE DATA') throw invalidArchive(`it holds ${desc} beside the rows of tables`);
}
