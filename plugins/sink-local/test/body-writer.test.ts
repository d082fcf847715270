import type { FileHandle } from 'node:fs/promises';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Body } from '@pgsilo/plugin';
import {
  bodyOf,
  collect,
  endlessBody,
  inOddChunks,
  randomBody,
  testContext,
  watchedBody,
} from '@pgsilo/testkit';
import { writeBody } from '../src/body-writer.ts';

interface FakeFile {
  readonly handle: FileHandle;
  readonly content: () => Buffer;
  readonly writes: () => number;
}

/** A file that takes so many bytes at a time, and fails when it has `full`. */
function fakeFile(atOnce: number, full = Infinity): FakeFile {
  const taken: Buffer[] = [];
  let bytes = 0;
  const handle = {
    async writev(pieces: readonly Uint8Array[]): Promise<{ bytesWritten: number }> {
      // As a real file does: without it an endless body would let nothing else happen.
      await nextTurn();
      if (bytes >= full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      const part = Buffer.concat(pieces).subarray(0, atOnce);
      taken.push(part);
      bytes += part.length;
      return { bytesWritten: part.length };
    },
  } as unknown as FileHandle;
  return { handle, content: () => Buffer.concat(taken), writes: () => taken.length };
}

describe('writeBody', () => {
  test.each([1000, 70_001, Infinity])(
    'writes everything to a file that takes %d bytes at once',
    async (atOnce) => {
      const wanted = await collect(randomBody(400_000));
      const file = fakeFile(atOnce);
      const context = testContext({ memory: 256 * 1024 });
      expect(await writeBody(file.handle, 'part', inOddChunks(bodyOf(wanted)), context)).toBe(400_000);
      expect(file.content().equals(wanted)).toBe(true);
    },
  );

  test('gathers small chunks', async () => {
    const file = fakeFile(Infinity);
    await writeBody(file.handle, 'part', randomBody(200_000, 1, 100), testContext());
    expect(file.writes()).toBeLessThan(10);
  });

  test('closes the body when the disk is full', async () => {
    const file = fakeFile(Infinity, 3_000_000);
    const endless = watchedBody(endlessBody());
    await expect(writeBody(file.handle, 'part', endless.body, testContext())).rejects.toMatchObject({
      code: 'sink.full',
    });
    expect(endless.closed).toBe(true);
  });

  test('a file that takes nothing is an error, not a loop', async () => {
    await expect(writeBody(fakeFile(0).handle, 'part', bodyOf('x'), testContext())).rejects.toMatchObject({
      code: 'sink.failed',
    });
  });

  test.each(['while it writes', 'while it waits for the body'])(
    'an abort %s closes the body',
    async (when) => {
      const context = testContext();
      async function* slow(): Body {
        for (;;) {
          yield Buffer.from('x');
          await sleep(30);
        }
      }
      const watched = watchedBody(when === 'while it writes' ? endlessBody() : slow());
      const write = writeBody(fakeFile(Infinity).handle, 'part', watched.body, context);
      setTimeout(() => context.abort(), 5);
      await expect(write).rejects.toMatchObject({ code: 'aborted' });
      await sleep(60);
      expect(watched.closed).toBe(true);
    },
  );
});
