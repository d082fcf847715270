import { describe, expect, it } from 'vitest';
import type { Body, Clock } from '@pgsilo/plugin';
import { Throttle } from '../src/throttle.ts';

/** A clock that moves only when somebody sleeps. */
function stillClock(): Clock & { at: number } {
  const clock = {
    at: 0,
    now: () => new Date(clock.at),
    sleep: (milliseconds: number) => {
      clock.at += milliseconds;
      return Promise.resolve();
    },
  };
  return clock;
}

async function* chunks(count: number, bytes: number): Body & AsyncGenerator<Uint8Array> {
  for (let chunk = 0; chunk < count; chunk += 1) yield new Uint8Array(bytes);
}

const { signal } = new AbortController();

describe('a throttle', () => {
  it('lets bytes pass at its rate, whatever the size of the chunks', async () => {
    for (const bytes of [10, 1000, 50_000]) {
      const clock = stillClock();
      const throttle = new Throttle(100_000, clock);
      await Array.fromAsync(throttle.limit(chunks(100_000 / bytes, bytes), signal));
      // The last chunk is not waited for, nor is what takes less than ten milliseconds.
      const exact = ((100_000 - bytes) / 100_000) * 1000;
      expect(clock.at).toBeLessThanOrEqual(exact + 0.001);
      expect(clock.at).toBeGreaterThan(exact - 11);
    }
  });

  it('holds for all bodies together', async () => {
    const clock = stillClock();
    const throttle = new Throttle(1000, clock);
    await Array.fromAsync(throttle.limit(chunks(5, 1000), signal));
    await Array.fromAsync(throttle.limit(chunks(5, 1000), signal));
    expect(clock.at).toBeCloseTo(9000, 3);
  });

  it('saves nothing up in a pause, and waits for no time that a clock lost', async () => {
    const clock = stillClock();
    const throttle = new Throttle(1000, clock);
    await Array.fromAsync(throttle.limit(chunks(2, 1000), signal));
    clock.at += 3_600_000;
    const before = clock.at;
    await Array.fromAsync(throttle.limit(chunks(3, 1000), signal));
    expect(clock.at - before).toBeCloseTo(2000, 3);
    clock.at -= 3_600_000;
    const set = clock.at;
    await Array.fromAsync(throttle.limit(chunks(1, 1000), signal));
    expect(clock.at - set).toBeLessThanOrEqual(2000);
  });
});
