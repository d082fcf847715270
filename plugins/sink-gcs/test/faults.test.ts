import { inspect } from 'node:util';
import type { Body } from '@pgsilo/plugin';
import { gatedBody, randomBody } from '@pgsilo/testkit';
import { describe, expect, it } from 'vitest';
import { artifact, mebibyte, size, useFaultyGcs } from './faulty-gcs.ts';
import { errorOf } from './gcs.ts';

const gcs = useFaultyGcs();
const ranges = (): unknown[] =>
  gcs.asked.flatMap(({ call, headers }) => (call === 'chunk' ? [headers['content-range']] : []));

describe.each([
  ['a 503', { status: 503 }],
  ['a 429', { status: 429 }],
  ['a page of a proxy', { status: 502, text: '<html>\nBad Gateway' }],
  ['a connection that is reset', 'reset'],
] as const)('%s', (_, what) => {
  it.each(['start', 'chunk'] as const)(
    'of a %s is followed by another try, which is counted, and the object is whole',
    async (call) => {
      gcs.fault(call, what, what);
      expect((await gcs.put()).bytes).toBe(size);
      expect(gcs.context.retries).toBeGreaterThanOrEqual(2);
      await gcs.mustBeWhole();
    },
  );

  it('of a small object is followed by another try', async () => {
    gcs.fault('insert', what);
    expect((await gcs.put(1000)).bytes).toBe(1000);
    expect(gcs.context.retries).toBe(1);
    await gcs.mustBeWhole(1000);
  });

  it('that does not end is unreachable, and nothing is listed', async () => {
    gcs.server.decide = ({ call }) => (call === 'chunk' || call === 'insert' ? what : undefined);
    for (const error of await Promise.all([errorOf(gcs.put()), errorOf(gcs.put(1000))])) {
      expect(error.code).toBe('sink.unreachable');
      expect(error.message).not.toContain('<html>');
    }
    expect(await gcs.keys()).toEqual([]);
    expect(gcs.server.sessions.open).toBe(0);
  });
});

it('a rate that is refused with a 403 is followed by another try', async () => {
  gcs.fault('insert', { status: 403, reason: 'userRateLimitExceeded' });
  expect((await gcs.put(1000)).bytes).toBe(1000);
});

describe('a chunk', () => {
  it('that breaks off goes on where the service stands, and no byte is sent twice', async () => {
    gcs.fault('chunk', { resetAfter: 600 * 1024 });
    await gcs.put();
    await gcs.mustBeWhole();
    expect(gcs.calls).toContain('status');
    // Of 600 KiB it had kept 512.
    expect(ranges()[1]).toBe(`bytes ${512 * 1024}-${mebibyte - 1}/*`);
  });

  it('whose answer is lost is asked for, and not sent again', async () => {
    gcs.fault('chunk', 'lose the answer');
    await gcs.put();
    await gcs.mustBeWhole();
    expect(new Set(ranges()).size).toBe(ranges().length);
  });

  it('that the service does not answer is given up, and the upload goes on', async () => {
    await gcs.sink.close();
    gcs.sink = gcs.server.open({ chunkSize: '1MiB' }, 300);
    gcs.fault('chunk', 'stall');
    expect((await gcs.put()).bytes).toBe(size);
    await gcs.mustBeWhole();
  });

  it('of which the service takes nothing again and again is given up, and none is left out', async () => {
    gcs.server.decide = (request) => {
      gcs.asked.push(request);
      return request.call === 'chunk' ? { status: 308 } : undefined;
    };
    const error = await errorOf(gcs.put());
    expect([error.code, error.retryable]).toEqual(['sink.failed', true]);
    expect(ranges()).toEqual(Array(5).fill(`bytes 0-${mebibyte - 1}/*`));
    expect(await gcs.keys()).toEqual([]);
  });

  it.each([404, 410])(
    'of a session that is gone with %d fails so that the unit is tried again',
    async (status) => {
      gcs.server.decide = ({ call }) => (call === 'chunk' || call === 'status' ? { status } : undefined);
      const error = await errorOf(gcs.put());
      expect([error.code, error.retryable]).toEqual(['sink.failed', true]);
      expect(await gcs.keys()).toEqual([]);
    },
  );

  it('that fails ends a body that stalls', async () => {
    gcs.server.decide = ({ call }) => (call === 'chunk' ? { status: 403, reason: 'forbidden' } : undefined);
    // One chunk, and a byte by which it is known that it is not the last.
    const { body } = gatedBody(Buffer.alloc(mebibyte + 1), Buffer.from('never'));
    const error = await errorOf(gcs.sink.put(gcs.name, body, artifact, gcs.context));
    expect(error.code).toBe('sink.denied');
    // The URI of a session opens it.
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('upload_id');
  });

  it('is as large as half of the memory allows, in multiples of 256 KiB', async () => {
    await gcs.sink.close();
    gcs.sink = gcs.server.open({ chunkSize: '1GiB' });
    await gcs.put(9 * mebibyte);
    expect(ranges()[0]).toBe(`bytes 0-${4 * mebibyte - 1}/*`);
    await gcs.mustBeWhole(9 * mebibyte);
  });
});

describe('what nobody finishes', () => {
  it('is cancelled after a body that threw', async () => {
    async function* body(): Body {
      yield* randomBody(3 * mebibyte);
      throw new Error('pg_dump died');
    }
    const put = gcs.sink.put(gcs.name, body(), artifact, gcs.context);
    await expect(put).rejects.toThrow('pg_dump died');
    expect(gcs.calls).toContain('chunk');
    expect(gcs.server.sessions.open).toBe(0);
  });
});
