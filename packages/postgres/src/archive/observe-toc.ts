import type { Body } from '@pgsilo/plugin';
import { BlockWalker } from './block-walker.ts';
import { invalidArchive } from './invalid.ts';
import { TocParser } from './toc-parser.ts';
import type { Toc, TocEntry } from './toc.ts';

export interface ObservedArchive {
  /** The very bytes that came in. */
  readonly body: Body;
  /**
   * Resolves as soon as the table of contents went by. Rejects when the body ends, throws or is given up before that, or is no archive.
   * Nobody has to listen: a rejection that is not awaited is no unhandled one.
   */
  readonly toc: Promise<Toc>;
}

/**
 * Reads an archive's table of contents while its bytes pass through, and follows its blocks of data to the last: what runs pg_dump somewhere else (ssh, kubectl)
 * may lose the end of its output and still exit with 0. Rows are not looked at; blocks go by at gigabytes in a second.
 * A body that is no whole archive throws `source.archive-invalid` out of `body` too, so that nothing stores it as one.
 * @param keep which entries to keep in memory; by default those that a fingerprint needs.
 */
export function observeToc(body: Body, keep: (entry: TocEntry) => boolean = isData): ObservedArchive {
  const { promise, resolve, reject } = Promise.withResolvers<Toc>();
  promise.catch(() => undefined);
  const parser = new TocParser({ keep });

  let started = false;
  async function* pass(): AsyncGenerator<Uint8Array> {
    let walker: BlockWalker | undefined;
    try {
      for await (const chunk of body) {
        if (walker) walker.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        else {
          const rest = parser.push(chunk);
          if (rest) {
            walker = new BlockWalker(parser.intSize, parser.withData, () => false);
            walker.push(rest);
            resolve(parser.toc!);
          }
        }
        yield chunk;
      }
      if (!walker) throw invalidArchive(`it is cut: it ends within ${parser.place}`);
      walker.end();
    } catch (error) {
      reject(error);
      throw error;
    } finally {
      reject(invalidArchive(`reading stopped within ${parser.place}`));
    }
  }

  const passing = pass();
  const iterator: AsyncIterator<Uint8Array> = {
    next: () => {
      started = true;
      return passing.next();
    },
    // A generator that was never started runs no `finally`: what feeds us would not hear that nobody reads.
    return: async () => {
      if (!started) {
        started = true;
        reject(invalidArchive('nobody read it'));
        await body[Symbol.asyncIterator]().return?.();
      }
      return passing.return(undefined);
    },
  };
  return { body: { [Symbol.asyncIterator]: () => iterator }, toc: promise };
}

/** Entries that hold or set data: rows, sequences' values, large objects. */
export function isData(entry: TocEntry): boolean {
  return (
    entry.hasData ||
    entry.desc === 'TABLE DATA' ||
    entry.desc === 'SEQUENCE SET' ||
    entry.desc === 'BLOB' ||
    entry.desc === 'BLOB METADATA'
  );
}
