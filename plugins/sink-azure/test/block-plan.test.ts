import { bodyOf } from '@pgsilo/testkit';
import { describe, expect, it } from 'vitest';
import { capacityOf, largestBlock, mostBlocks, planBlocks } from '../src/block-plan.ts';
import { cut } from '../src/cut.ts';

const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;

describe('planBlocks', () => {
  it('begins small, grows, and stays within half of the memory', () => {
    const { sizeOf } = planBlocks(8 * mebibyte, 0, 128 * mebibyte);
    expect(
      [0, 4_999, 5_000, 10_000, 15_000, mostBlocks - 1].map((index) => sizeOf(index) / mebibyte),
    ).toEqual([8, 8, 16, 32, 64, 64]);
  });

  it('holds what is expected, twice', () => {
    for (const gibibytes of [1, 500, 5_000]) {
      const plan = planBlocks(8 * mebibyte, gibibytes * gibibyte, 4 * gibibyte);
      expect(capacityOf(plan)).toBeGreaterThan(2 * gibibytes * gibibyte);
    }
  });

  it('never passes what the service allows', () => {
    const plan = planBlocks(largestBlock, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    expect(plan.sizeOf(mostBlocks - 1)).toBe(largestBlock);
    expect(capacityOf(plan)).toBe(mostBlocks * largestBlock);
  });
});

describe('cut', () => {
  it('gives every byte in order, in pieces of the sizes', async () => {
    const content = Buffer.from(Array.from({ length: 1_000_003 }, (_, index) => index % 251));
    const chunks = Array.from({ length: 1000 }, (_, index) =>
      content.subarray(index * 1001, (index + 1) * 1001),
    );
    const pieces = await Array.fromAsync(
      cut(bodyOf(...chunks), (index) => 300_000 * 2 ** Math.min(index, 1)),
    );
    expect(pieces.map((piece) => piece.length)).toEqual([300_000, 600_000, 100_003]);
    expect(Buffer.concat(pieces).equals(content)).toBe(true);
  });

  it('gives no piece for no bytes, nor an empty last one', async () => {
    expect(await Array.fromAsync(cut(bodyOf(), () => 10))).toEqual([]);
    expect(await Array.fromAsync(cut(bodyOf(Buffer.alloc(20)), () => 10))).toHaveLength(2);
  });
});
