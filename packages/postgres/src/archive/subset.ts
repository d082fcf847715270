import { createReadStream } from 'node:fs';
import type { Body } from '@pgsilo/plugin';
import { BlockWalker } from './block-walker.ts';
import { invalidArchive } from './invalid.ts';
import { TocParser } from './toc-parser.ts';

/** As large as a disk likes it, small enough for many at once. */
const chunkBytes = 256 * 1024;

/**
 * An archive with only these entries and their data, from a whole one in a file: for a pg_restore that cannot be given a list, because it runs on another machine.
 * To be read through a pipe: where data lies in the file is marked as it was in the whole archive.
 */
export async function* archiveSubset(file: string, keep: ReadonlySet<number>): AsyncGenerator<Uint8Array> {
  const head: Uint8Array[] = [];
  const kept: Uint8Array[] = [];
  const parser = new TocParser({
    keep: () => false,
    onHeader: (_, raw) => head.push(Uint8Array.from(raw)),
    onEntry: (entry, raw) => {
      if (keep.has(entry.dumpId) || preamble.has(entry.desc)) kept.push(Uint8Array.from(raw));
    },
  });
  let walker: BlockWalker | undefined;
  let passed = 0;
  let dataStart = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: chunkBytes }) as Body) {
    passed += chunk.byteLength;
    if (walker) {
      walker.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      continue;
    }
    const rest = parser.push(chunk);
    if (!rest) continue;
    dataStart = passed - rest.length;
    walker = new BlockWalker(parser.intSize, parser.withData, () => false);
    walker.push(rest);
  }
  if (!walker) throw invalidArchive(`it is cut: it ends within ${parser.place}`);
  walker.end();
  yield* head;
  yield integer(kept.length, parser.intSize);
  yield* kept;
  for (const [dumpId, { start, end }] of walker.counts) {
    if (!keep.has(dumpId)) continue;
    yield* createReadStream(file, {
      start: dataStart + start,
      end: dataStart + end - 1,
      highWaterMark: chunkBytes,
    }) as Body;
  }
}

/** Entries that say how the others are read. */
export const preamble: ReadonlySet<string> = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);

/** As pg_dump writes one: a sign byte, and the magnitude from its lowest byte. */
export function integer(value: number, intSize: number): Uint8Array {
  const bytes = Buffer.alloc(intSize + 1);
  bytes.writeUInt32LE(value, 1);
  return bytes;
}
