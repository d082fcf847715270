import { describe, expect, it } from 'vitest';
import { attemptWith, PgsiloError } from '../src/index.ts';

const attempt = attemptWith(
  (error, doing) => new PgsiloError('sink.failed', `cannot ${doing}: ${(error as Error).message}`),
);
const running = { signal: new AbortController().signal };
async function broken(error: Error): Promise<never> {
  throw error;
}

describe('one thing with a store', () => {
  it('gives what came, or the error as it is translated', async () => {
    expect(await attempt('list', running, () => Promise.resolve(7))).toBe(7);
    await expect(attempt('list', running, () => broken(new Error('reset')))).rejects.toThrow(
      'cannot list: reset',
    );
  });

  it('leaves an error of ours as it is', async () => {
    const own = new PgsiloError('sink.not-found', 'no such object');
    await expect(attempt('list', running, () => broken(own))).rejects.toBe(own);
  });

  it('is not begun after an abort, and ends with its reason in the middle of one', async () => {
    const stopping = new AbortController();
    const reason = new PgsiloError('aborted', 'Ctrl-C');
    const ended = attempt('list', stopping, () => {
      stopping.abort(reason);
      return broken(new Error('socket hang up'));
    });
    await expect(ended).rejects.toBe(reason);
    await expect(attempt('list', stopping, () => expect.fail('was begun'))).rejects.toBe(reason);
  });
});
