import type { Body } from '@pgsilo/plugin';

/** Up to this size small bodies take no memory but their own. */
const small = 256 * 1024;

/** Cuts a body into pieces of the given sizes, each copied once; only the last may be shorter, and none is empty. */
export async function* cut(body: Body, sizeOf: (index: number) => number): AsyncGenerator<Buffer> {
  let size = sizeOf(0);
  let piece = Buffer.allocUnsafe(Math.min(size, small));
  let filled = 0;
  let index = 0;
  for await (const chunk of body) {
    for (let from = 0; from < chunk.length;) {
      if (filled === piece.length) {
        const larger = Buffer.allocUnsafe(size);
        piece.copy(larger);
        piece = larger;
      }
      const some = chunk.subarray(from, from + piece.length - filled);
      piece.set(some, filled);
      from += some.length;
      filled += some.length;
      if (filled < size) continue;
      yield piece;
      index += 1;
      size = sizeOf(index);
      piece = Buffer.allocUnsafe(Math.min(size, small));
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}
