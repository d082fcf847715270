import type { Body } from '@pgsilo/plugin';
import { invalidArchive } from './invalid.ts';
import { ArchiveReader, type ArchiveContents } from './read-archive.ts';
import type { Toc, TocEntry } from './toc.ts';

export interface ObservedArchive {
  /** The very bytes that came in. */
  readonly body: Body;
  /**
   * Resolves as soon as the table of contents went by. Rejects when the body ends, throws or is given up before that, or is no archive.
   * Nobody has to listen: a rejection that is not awaited is no unhandled one.
   */
  readonly toc: Promise<Toc>;
  /** Resolves when the whole of it went by, and rejects as `toc` does. */
  readonly contents: Promise<ArchiveContents>;
}

/**
 * Reads an archive while its bytes pass through, to its last block: what runs pg_dump somewhere else (ssh, kubectl) may lose the end of its output and still exit with 0.
 * A body that is no whole archive throws `source.archive-invalid` out of `body` too, so that nothing stores it as one.
 * @param keep which entries to keep in memory; by default those that a fingerprint needs.
 */
export function observeArchive(body: Body, keep: (entry: TocEntry) => boolean = isData): ObservedArchive {
  const toc = Promise.withResolvers<Toc>();
  const contents = Promise.withResolvers<ArchiveContents>();
  const reject = (error: unknown): void => {
    toc.reject(error);
    contents.reject(error);
  };
  toc.promise.catch(() => undefined);
  contents.promise.catch(() => undefined);
  const reader = new ArchiveReader({ keep, onToc: toc.resolve });

  let started = false;
  async function* pass(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) {
        reader.push(chunk);
        yield chunk;
      }
      contents.resolve(reader.end());
    } catch (error) {
      reject(error);
      throw error;
    } finally {
      reject(invalidArchive(`reading stopped within ${reader.place}`));
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
  return { body: { [Symbol.asyncIterator]: () => iterator }, toc: toc.promise, contents: contents.promise };
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
