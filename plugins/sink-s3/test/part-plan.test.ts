import { bodyOf, randomBody, sha256Of, testContext } from '@pgsilo/testkit';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cutParts } from '../src/cut-parts.ts';
import { largestPart, mostParts, smallestPart } from '../src/part-limits.ts';
import { capacityOf, planParts } from '../src/part-plan.ts';
import type { PartSettings } from '../src/part-plan.ts';
import { errorOf } from './errors-of.ts';

const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;
const tebibyte = 2 ** 40;
const usual: PartSettings = {
  partSize: 8 * mebibyte,
  maxParts: mostParts,
  concurrency: 4,
  equalParts: false,
};

describe('planParts', () => {
  it('has parts for 25 TiB of which nobody knew anything, whatever the memory', () => {
    for (const memory of [1, 15, 61, 500, 4000])
      expect(capacityOf(planParts(usual, 0, memory * mebibyte))).toBeGreaterThan(25 * tebibyte);
  });

  it('has parts for the largest object of the service when it was told of half of it', () => {
    for (const memory of [15, 61, 500])
      expect(capacityOf(planParts(usual, 20 * tebibyte, memory * mebibyte))).toBeGreaterThan(40 * tebibyte);
  });

  it('never runs out of the 1,000 parts of a clone either, where the estimate is right or too small by half', () => {
    const clone = { ...usual, maxParts: 1000 };
    expect(capacityOf(planParts(clone, 0, 61 * mebibyte))).toBeGreaterThan(2.5 * tebibyte);
    for (const estimate of [gibibyte, 100 * gibibyte, tebibyte])
      expect(capacityOf(planParts(clone, estimate, 61 * mebibyte))).toBeGreaterThanOrEqual(2 * estimate);
  });

  it('keeps parts in memory as long as the estimate allows it', () => {
    for (const estimate of [0, gibibyte, 50 * gibibyte, 100 * gibibyte]) {
      const plan = planParts(usual, estimate, 61 * mebibyte);
      expect(plan.sizeOf(3999)).toBeLessThanOrEqual(plan.largestHeld);
      let held = 0;
      for (let index = 0; plan.sizeOf(index) <= plan.largestHeld; index += 1) held += plan.sizeOf(index);
      expect(held).toBeGreaterThanOrEqual(2 * estimate);
    }
  });

  it('stays within what the service takes, and never shrinks', () => {
    const wrong: object[] = [];
    for (const settings of [
      usual,
      { ...usual, maxParts: 1000 },
      { ...usual, partSize: largestPart },
      { ...usual, maxParts: 2 },
    ])
      for (const estimate of [0, tebibyte, 1000 * tebibyte])
        for (const memory of [1, 61 * mebibyte, 40 * gibibyte]) {
          const { sizeOf } = planParts(settings, estimate, memory);
          let before = smallestPart;
          for (let index = 0; index < settings.maxParts; index += 1) {
            const size = sizeOf(index);
            if (size < before || size > largestPart) wrong.push({ settings, estimate, memory, index, size });
            before = size;
          }
        }
    expect(wrong).toEqual([]);
  });

  it('gives parts of one size where a store wants them, large enough for the estimate', () => {
    const plan = planParts({ ...usual, equalParts: true }, 500 * gibibyte, 61 * mebibyte);
    expect(new Set([0, 1, 500, mostParts - 1].map(plan.sizeOf)).size).toBe(1);
    expect(capacityOf(plan)).toBeGreaterThan(900 * gibibyte);
  });
});

describe('cutParts', () => {
  const plan = {
    maxParts: 100,
    memory: 3000,
    largestHeld: 1000,
    inFlight: 2,
    sizeOf: (index: number) => (index < 3 ? 700 : 5000),
  };

  it('gives every byte in order, small parts from memory and large ones from files, which are private and go', async () => {
    const context = testContext();
    const folder = await context.scratch();
    let files = 0;
    const newFile = async () => join(folder, `part-${(files += 1)}`);
    const sizes: number[] = [];
    const seen: Uint8Array[] = [];
    const lasts: boolean[] = [];
    const modes = new Set<number>();
    for await (const { part, last } of cutParts(randomBody(14_000, 3, 333), plan, newFile)) {
      sizes.push(part.size);
      lasts.push(last);
      if ('bytes' in part) seen.push(Buffer.from(part.bytes));
      else {
        modes.add((await stat(part.file)).mode & 0o777);
        seen.push(await readFile(part.file));
        await part.drop();
      }
    }
    expect([...modes]).toEqual([0o600]);
    expect(sizes).toEqual([700, 700, 700, 5000, 5000, 1900]);
    expect(lasts).toEqual([false, false, false, false, false, true]);
    expect(await sha256Of(bodyOf(...seen))).toBe(await sha256Of(randomBody(14_000, 3)));
    expect(await readdir(folder)).toEqual([]);
    await context.dispose();
  });

  it('leaves no file of a body that throws', async () => {
    const context = testContext();
    const folder = await context.scratch();
    const error = new Error('it died');
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(4000);
      throw error;
    }
    const cut = Array.fromAsync(cutParts(body(), plan, async () => join(folder, 'part')));
    await expect(cut).rejects.toBe(error);
    expect(await readdir(folder)).toEqual([]);
    await context.dispose();
  });

  it('says that the scratch folder is at fault when a part cannot be written there', async () => {
    const nowhere = async () => '/proc/self/nowhere';
    const cut = Array.fromAsync(cutParts(bodyOf(Buffer.alloc(9000)), plan, nowhere));
    expect(await errorOf(cut)).toMatchObject({
      code: 'scratch.full',
      hint: expect.stringContaining('scratch'),
    });
  });

  it('gives one part for a body of none or of exactly one part', async () => {
    for (const bytes of [0, 1, 700]) {
      const parts = await Array.fromAsync(
        cutParts(bodyOf(Buffer.alloc(bytes)), plan, () => Promise.reject(new Error('no file'))),
      );
      expect(parts.map(({ part, last }) => [part.size, last])).toEqual([[bytes, true]]);
    }
  });
});
