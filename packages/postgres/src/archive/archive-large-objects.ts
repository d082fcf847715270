import { BlockWalker } from './block-walker.ts';
import { invalidArchive } from './invalid.ts';
import type { TocParser } from './toc-parser.ts';
import { Gathered, walkFile } from './walk-file.ts';

/** A part of a large object's content. */
export interface LargeObjectPiece {
  readonly oid: number;
  /** Where in the large object it begins, in bytes. */
  readonly at: number;
  /** None where the large object is empty. */
  readonly bytes: Uint8Array;
}

/**
 * The contents of all large objects of an archive in a file, in the archive's order, in pieces of up to 256 KiB: an object's begin at 0 and follow each other, and each object has at least one.
 * Throws `source.archive-invalid` for an archive that is compressed by pg_dump, or is cut: then after the pieces that were whole.
 */
export async function* archiveLargeObjects(file: string): AsyncGenerator<LargeObjectPiece> {
  const found: LargeObjectPiece[] = [];
  const gathered = new Gathered();
  let oid = 0;
  let at = 0;
  const flush = (): void => {
    const bytes = gathered.take();
    if (!bytes) return;
    found.push({ oid, at, bytes });
    at += bytes.length;
  };
  /** Ends the one that came before. */
  const next = (number: number): void => {
    flush();
    if (oid !== 0 && at === 0) found.push({ oid, at: 0, bytes: new Uint8Array() });
    oid = number;
    at = 0;
  };
  const begin = ({ toc, intSize, withData }: TocParser): BlockWalker => {
    const { compression } = toc!.header;
    if (compression !== 'none') throw invalidArchive(`its large objects are compressed with ${compression}`);
    return new BlockWalker(
      intSize,
      withData,
      () => false,
      () => next(0),
      (chunk, from, to) => {
        if (oid !== 0) gathered.add(chunk, from, to);
      },
      next,
    );
  };
  for await (const _ of walkFile(file, gathered, begin)) {
    flush();
    yield* found.splice(0);
  }
  next(0);
  yield* found;
}
