import { PgsiloError } from '@pgsilo/plugin';
import { describe, expect, it } from 'vitest';
import { interruptible } from '../src/interrupt.ts';

describe('interruptible', () => {
  it('ends a wait for a producer that does not listen, and tells it to stop', async () => {
    let returned = false;
    const deaf: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: () => {
          returned = true;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
    const controller = new AbortController();
    const reading = (async () => {
      for await (const _ of interruptible(deaf, controller.signal));
    })();
    controller.abort(new PgsiloError('limit.timeout', 'too long'));
    await expect(reading).rejects.toMatchObject({ code: 'limit.timeout' });
    expect(returned).toBe(true);
  });

  it('passes the producer’s own error and does not call return() after it', async () => {
    let returned = false;
    const broken: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new Error('broken')),
        return: () => {
          returned = true;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
    await expect(
      (async () => {
        for await (const _ of interruptible(broken, new AbortController().signal));
      })(),
    ).rejects.toThrow('broken');
    expect(returned).toBe(false);
  });

  it('stops the producer when the reader stops early', async () => {
    let stopped = false;
    const source = async function* (): AsyncGenerator<number> {
      try {
        for (let n = 0; ; n++) yield n;
      } finally {
        stopped = true;
      }
    };
    for await (const n of interruptible(source(), new AbortController().signal)) if (n === 3) break;
    expect(stopped).toBe(true);
  });
});
