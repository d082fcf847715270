import { createReadStream } from 'node:fs';
import type { Body } from '@pgsilo/plugin';
import { BlockWalker } from './block-walker.ts';
import { invalidArchive } from './invalid.ts';
import { TocParser } from './toc-parser.ts';

/** A part of a large object's content. */
export interface LargeObjectPiece {
  readonly oid: number;
  /** Where in the large object it begins, in bytes. */
  readonly at: number;
  /** None where the large object is empty. */
  readonly bytes: Uint8Array;
}

const chunkBytes = 256 * 1024;

/**
 * The contents of all large objects of an archive in a file, in the archive's order, in pieces of up to 256 KiB: an object's begin at 0 and follow each other, and each object has at least one.
 * Throws `source.archive-invalid` for an archive that is compressed by pg_dump, or is cut: then after the pieces that were whole.
 */
export async function* archiveLargeObjects(file: string): AsyncGenerator<LargeObjectPiece> {
  const parser = new TocParser({ keep: () => false });
  const found: LargeObjectPiece[] = [];
  let oid = 0;
  let at = 0;
  let gathered: Buffer = Buffer.alloc(0);
  let length = 0;
  const flush = (): void => {
    if (length === 0) return;
    found.push({ oid, at, bytes: gathered.subarray(0, length) });
    gathered = gathered.subarray(length);
    at += length;
    length = 0;
  };
  /** Ends the one that came before. */
  const begin = (next: number): void => {
    flush();
    if (oid !== 0 && at === 0) found.push({ oid, at: 0, bytes: new Uint8Array() });
    oid = next;
    at = 0;
  };
  const onPayload = (chunk: Buffer, from: number, to: number): void => {
    if (oid !== 0) length += chunk.copy(gathered, length, from, to);
  };
  let walker: BlockWalker | undefined;
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes }) as Body) {
    let bytes: Uint8Array = chunk;
    if (!walker) {
      const rest = parser.push(chunk);
      if (!rest) continue;
      const { compression } = parser.toc!.header;
      if (compression !== 'none')
        throw invalidArchive(`its large objects are compressed with ${compression}`);
      walker = new BlockWalker(
        parser.intSize,
        parser.withData,
        () => false,
        () => begin(0),
        onPayload,
        begin,
      );
      bytes = rest;
    }
    gathered = Buffer.allocUnsafe(bytes.byteLength);
    walker.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    flush();
    yield* found.splice(0);
  }
  if (!walker) throw invalidArchive(`it is cut: it ends within ${parser.place}`);
  walker.end();
  begin(0);
  yield* found;
}
