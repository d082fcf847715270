import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { fanOut } from '../src/fan-out.ts';

async function* numbers(
  count: number,
  size: number,
  seen: { read: number; stopped: boolean },
): AsyncGenerator<Uint8Array> {
  try {
    for (seen.read = 0; seen.read < count; seen.read++) yield new Uint8Array(size).fill(seen.read);
  } finally {
    seen.stopped = seen.read < count;
  }
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('fanOut', () => {
  it('gives every reader all of it', async () => {
    const seen = { read: 0, stopped: false };
    const fan = fanOut(numbers(50, 10, seen), 3, 25);
    const [a, b, c] = await Promise.all([...fan.branches.map(({ body }) => collect(body)), fan.pump()]);
    expect(a).toHaveLength(500);
    expect(b).toEqual(a);
    expect(c).toEqual(a);
  });

  it('waits for the slowest reader', async () => {
    const seen = { read: 0, stopped: false };
    const fan = fanOut(numbers(1000, 10, seen), 2, 100);
    const fast = collect(fan.branches[0]!.body);
    const pumping = fan.pump();
    await delay(30);
    // The second reader has not begun: the first may be ahead by the room and the chunk that overfilled it.
    expect(seen.read).toBeLessThanOrEqual(12);
    expect(await collect(fan.branches[1]!.body)).toHaveLength(10_000);
    await pumping;
    expect(await fast).toHaveLength(10_000);
  });

  it('goes on when one reader leaves, and stops the producer when the last one does', async () => {
    const seen = { read: 0, stopped: false };
    const fan = fanOut(numbers(100, 10, seen), 2, 50);
    const leaving = (async () => {
      for await (const _ of fan.branches[0]!.body) break;
    })();
    const staying = collect(fan.branches[1]!.body);
    await Promise.all([leaving, fan.pump()]);
    expect(await staying).toHaveLength(1000);

    const alone = fanOut(numbers(100, 10, seen), 1, 50);
    const pumping = alone.pump();
    alone.branches[0]!.leave();
    await pumping;
    expect(seen.stopped).toBe(true);
  });

  it('throws the body’s error at every reader, never an end', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(5);
      throw new Error('producer died');
    };
    const fan = fanOut(broken(), 2, 50);
    const results = await Promise.allSettled([...fan.branches.map(({ body }) => collect(body)), fan.pump()]);
    expect(results.map((result) => result.status === 'rejected' && (result.reason as Error).message)).toEqual(
      Array.from({ length: 3 }, () => 'producer died'),
    );
  });
});
