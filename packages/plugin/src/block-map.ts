import type { Body } from './context.ts';

/** Blocks that wait to be filled again, at most. */
const mostSpare = 8;

/**
 * Blocks whose bytes nobody needs any more, to be filled again: garbage of this size would pile up faster than it is collected, and each of a fresh
 * block's pages is a fault, which on some virtual machines costs more than to compress it.
 */
export class SpareBlocks {
  #spare: Uint8Array[] = [];
  /** Only memory that was fetched here: a view of somebody's chunk must never be written into. */
  readonly #own = new WeakSet<ArrayBufferLike>();

  /** A block of exactly `size` bytes, with whatever is in them. */
  take(size: number): Uint8Array {
    const at = this.#spare.findIndex((block) => block.length === size);
    const block = at === -1 ? Buffer.allocUnsafeSlow(size) : this.#spare.splice(at, 1)[0]!;
    this.#own.add(block.buffer);
    return block;
  }

  /** @param block one that was taken, or a part of it: the last of a body is seldom full. */
  giveBack(block: Uint8Array): void {
    if (!this.#own.delete(block.buffer)) return;
    this.#spare.push(Buffer.from(block.buffer));
    // Of another size than those that are wanted now, as likely as not.
    if (this.#spare.length > mostSpare) this.#spare.shift();
  }
}

/**
 * Cuts a body into pieces of exactly `size` bytes; only the last may be shorter, and none is empty.
 * A piece that lies whole within one chunk is a view of it; others are copied once.
 * @param spare where the reader gives back pieces that it has done with.
 */
export async function* cutBlocks(body: Body, size: number, spare?: SpareBlocks): AsyncGenerator<Uint8Array> {
  let block: Uint8Array | undefined;
  let filled = 0;
  for await (const chunk of body) {
    let at = 0;
    while (at < chunk.length) {
      if (filled === 0 && chunk.length - at >= size) {
        yield chunk.subarray(at, at + size);
        at += size;
        continue;
      }
      block ??= spare?.take(size) ?? Buffer.allocUnsafeSlow(size);
      const taken = Math.min(size - filled, chunk.length - at);
      block.set(at === 0 && taken === chunk.length ? chunk : chunk.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
      if (filled < size) continue;
      yield block;
      block = undefined;
      filled = 0;
    }
  }
  if (block !== undefined && filled > 0) yield block.subarray(0, filled);
}

/**
 * Does `work` on up to `limit` items at once and yields the results in the items' order.
 *
 * Items are fetched only when the reader asks for a result, so nothing is being read while the reader holds one, and an early
 * return ends the input before it settles. An error of the input or of `work` comes out as it is, after what precedes it.
 * In every case all work that was begun has ended before the iterator does.
 */
export async function* mapInOrder<Item, Result>(
  items: AsyncIterable<Item>,
  limit: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const begun: Promise<Result>[] = [];
  const input = items[Symbol.asyncIterator]();
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  try {
    for (;;) {
      while (!ended && begun.length < limit) {
        const next = await input.next().catch((error: unknown) => {
          failure = { error };
          return undefined;
        });
        if (next === undefined || next.done) {
          ended = true;
          break;
        }
        const result = work(next.value);
        // It is awaited below, in its turn; until then a rejection must not count as unhandled.
        result.catch(() => {});
        begun.push(result);
      }
      const first = begun.shift();
      if (first === undefined) break;
      yield await first;
    }
    if (failure) throw failure.error;
  } finally {
    if (!ended) await input.return?.();
    await Promise.allSettled(begun);
  }
}
