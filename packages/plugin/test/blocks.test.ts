import { describe, expect, test } from 'vitest';
import { PgsiloError } from '../src/index.ts';
import type { Body, Context } from '../src/index.ts';
import { cutBlocks, limitsOf, mapInOrder, SpareBlocks } from '../src/blocks.ts';

async function* bodyOf(...chunks: readonly (string | Buffer)[]): Body {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

async function* throwingBody(error: Error, before: Body): Body {
  yield* before;
  throw error;
}

function contextOf(memory: number, parallel: number): Context {
  const silent = (): void => {};
  return {
    memory,
    parallel,
    signal: new AbortController().signal,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    clock: { now: () => new Date(), sleep: () => Promise.resolve() },
    retried: () => undefined,
    scratch: () => Promise.reject(new PgsiloError('internal', 'not here')),
  };
}

async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function* upTo(count: number, onNext?: (item: number) => void): AsyncGenerator<number> {
  for (let item = 0; item < count; item += 1) {
    onNext?.(item);
    yield item;
  }
}

describe('cutBlocks', () => {
  test.each([
    [[], []],
    [['', ''], []],
    [['abc'], ['abc']],
    [['abcd'], ['abcd']],
    [
      ['a', '', 'bcde', 'fghijklmnop', 'q'],
      ['abcd', 'efgh', 'ijkl', 'mnop', 'q'],
    ],
    [['abcdefgh'], ['abcd', 'efgh']],
  ])('cuts %j into %j', async (chunks, wanted) => {
    const blocks = await gather(cutBlocks(bodyOf(...chunks), 4));
    expect(blocks.map((block) => Buffer.from(block).toString())).toEqual(wanted);
  });

  test('does not copy what lies whole in one chunk, and copies the rest once', async () => {
    const chunk = Buffer.from('abcdefghij');
    const blocks = await gather(cutBlocks(bodyOf(chunk), 4));
    expect(blocks.map((block) => block.buffer === chunk.buffer)).toEqual([true, true, false]);
  });

  test('fills blocks again that were given back, but never a chunk of the body', async () => {
    const spare = new SpareBlocks();
    const theirs = Buffer.from('abcd');
    const seen: Uint8Array[] = [];
    for await (const block of cutBlocks(bodyOf(theirs, 'ef', 'gh', 'ij', 'kl'), 4, spare)) {
      seen.push(block);
      spare.giveBack(block);
    }
    expect(seen).toHaveLength(3);
    expect(seen[2]!.buffer).toBe(seen[1]!.buffer);
    expect(theirs.toString()).toBe('abcd');
  });

  test('gives memory of one size only, that of a part too, and none twice', () => {
    const spare = new SpareBlocks();
    const first = spare.take(4);
    spare.giveBack(first.subarray(0, 2));
    spare.giveBack(first);
    expect(spare.take(8).buffer).not.toBe(first.buffer);
    const again = spare.take(4);
    expect([again.buffer === first.buffer, again.length]).toEqual([true, 4]);
    expect(spare.take(4).buffer).not.toBe(first.buffer);
  });

  test('passes an error of the body on as it is', async () => {
    const error = new Error('gone');
    await expect(gather(cutBlocks(throwingBody(error, bodyOf('abc')), 2))).rejects.toBe(error);
  });
});

describe('mapInOrder', () => {
  test('keeps the order when later work ends first, and works on no more than the limit', async () => {
    let running = 0;
    let most = 0;
    const results = await gather(
      mapInOrder(upTo(20), 3, async (item) => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => {
          setTimeout(resolve, item % 3 === 0 ? 6 : 1);
        });
        running -= 1;
        return item * 2;
      }),
    );
    expect(results).toEqual(Array.from({ length: 20 }, (_, item) => item * 2));
    expect(most).toBe(3);
  });

  test('reads nothing while the reader holds a result', async () => {
    let read = 0;
    const results = mapInOrder(
      upTo(100, () => (read += 1)),
      4,
      (item) => Promise.resolve(item),
    );
    await results.next();
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
    expect(read).toBe(4);
    await results.return(undefined);
    expect(read).toBe(4);
  });

  test('an early return closes the input and waits for the work that was begun', async () => {
    let closed = false;
    let ended = 0;
    async function* items(): AsyncGenerator<number> {
      try {
        yield* upTo(100);
      } finally {
        closed = true;
      }
    }
    const results = mapInOrder(items(), 3, async (item) => {
      await new Promise((resolve) => {
        setTimeout(resolve, item * 3);
      });
      ended += 1;
      return item;
    });
    await results.next();
    await results.return(undefined);
    expect([closed, ended]).toEqual([true, 3]);
  });

  test('an error of the input comes after the results before it', async () => {
    const error = new Error('gone');
    async function* items(): AsyncGenerator<number> {
      yield* upTo(2);
      throw error;
    }
    const seen: number[] = [];
    const read = (async () => {
      for await (const item of mapInOrder(items(), 5, (item) => Promise.resolve(item))) seen.push(item);
    })();
    await expect(read).rejects.toBe(error);
    expect(seen).toEqual([0, 1]);
  });

  test('an error of the work ends everything, whatever other work does', async () => {
    const error = new Error('bad block');
    let closed = false;
    async function* items(): AsyncGenerator<number> {
      try {
        yield* upTo(100);
      } finally {
        closed = true;
      }
    }
    const work = (item: number): Promise<number> =>
      item >= 1 ? Promise.reject(item === 1 ? error : new Error('later')) : Promise.resolve(item);
    await expect(gather(mapInOrder(items(), 4, work))).rejects.toBe(error);
    expect(closed).toBe(true);
  });
});

describe('limitsOf', () => {
  const mebibyte = 1024 * 1024;

  test.each([
    [2 * mebibyte, 256 * mebibyte, 2, { blockSize: 2 * mebibyte, inFlight: 3 }],
    [2 * mebibyte, 6 * mebibyte, 2, { blockSize: 512 * 1024, inFlight: 3 }],
    [2 * mebibyte, 1, 2, { blockSize: 128 * 1024, inFlight: 1 }],
  ])('%i bytes a block, %i of memory, %i processors', (blockSize, memory, parallel, wanted) => {
    expect(limitsOf(blockSize, contextOf(memory, parallel))).toEqual(wanted);
  });

  test('what was written fixes the size', () => {
    expect(limitsOf(2 * mebibyte, contextOf(1, 2), true)).toEqual({ blockSize: 2 * mebibyte, inFlight: 1 });
  });
});
