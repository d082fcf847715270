/**
 * Works through items with at most `width` at once, in order of the list. The first error stops new items from starting, is thrown once those that run have settled.
 */
export async function eachLimited<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  width: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let failure: { readonly error: unknown } | undefined;
  // Several workers ask one iterator; an async generator answers them in turn.
  const worker = async (): Promise<void> => {
    try {
      while (!failure) {
        const next = await iterator.next();
        if (next.done) return;
        await work(next.value);
      }
    } catch (error) {
      failure ??= { error };
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, width) }, worker));
  if (failure) {
    await iterator.return?.();
    throw failure.error;
  }
}
