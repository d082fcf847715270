import { gatedBody, randomBody } from '@pgsilo/testkit';
import { describe, expect, it, vi } from 'vitest';
import { artifact, makesObject, size, useFaultyGcs } from './faulty-gcs.ts';
import { bucket, errorOf } from './gcs.ts';

const gcs = useFaultyGcs();
const damaged = (content: Buffer): Buffer =>
  Buffer.concat([Buffer.from([content[0]! ^ 1]), content.subarray(1)]);

describe('the answer to the request that makes an object', () => {
  it.each([size, 1000])('may be lost: %d bytes are there once, and known as ours', async (bytes) => {
    gcs.fault(makesObject, 'lose the answer');
    expect((await gcs.put(bytes)).bytes).toBe(bytes);
    await gcs.mustBeWhole(bytes);
  });

  it('may be lost each time: the object is known by its mark, also by a store that is busy', async () => {
    let busy = 2;
    gcs.server.decide = (request) => {
      if (request.call === 'stat' && busy-- > 0) return { status: 503 };
      return makesObject(request) || request.call === 'status' ? 'lose the answer' : undefined;
    };
    expect((await gcs.put()).bytes).toBe(size);
    await gcs.mustBeWhole();
  });

  it.each([size, 1000])('may be no JSON: %d bytes are known by their mark', async (bytes) => {
    gcs.fault(makesObject, { shortBy: 10 });
    expect((await gcs.put(bytes)).bytes).toBe(bytes);
    await gcs.mustBeWhole(bytes);
  });
});

describe('the request that makes an object', () => {
  it.each([size, 1000])('is refused when another one was quicker with %d bytes', async (bytes) => {
    const { body, reached, open } = gatedBody(Buffer.alloc(bytes), Buffer.from('end'));
    const done = errorOf(gcs.sink.put(gcs.name, body, artifact, gcs.context));
    await reached;
    await gcs.sink.put(gcs.name, randomBody(10), artifact, gcs.context);
    open();
    expect((await done).code).toBe('sink.exists');
    await gcs.mustBeWhole(10);
    expect(gcs.server.sessions.open).toBe(0);
  });

  it.each([size, 1000])('does not leave %d bytes that changed on their way', async (bytes) => {
    gcs.server.service.damage = damaged;
    const error = await errorOf(gcs.put(bytes));
    expect([error.code, error.retryable]).toEqual(['sink.failed', true]);
    gcs.server.service.damage = (content) => content;
    expect(await gcs.keys()).toEqual([]);
    await gcs.put(bytes);
    await gcs.mustBeWhole(bytes);
  });

  it('says so when such bytes could not be removed', async () => {
    gcs.server.service.damage = damaged;
    gcs.fault('delete', { status: 403, reason: 'forbidden' });
    expect((await errorOf(gcs.put(1000))).hint).toContain('is still there');
  });

  it.each([size, 1000])('says what the CRC32C of %d bytes is', async (bytes) => {
    await gcs.put(bytes);
    const stored = gcs.server.service.bucket(bucket).objects.get(gcs.name)?.[0];
    const [request] = gcs.asked.filter(makesObject);
    const said = bytes === size ? request?.headers['x-goog-hash'] : `crc32c=${stored?.said.crc32c}`;
    expect(said).toBe(`crc32c=${stored?.crc32c}`);
  });

  it('is undone when it had been done at the moment of the abort', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    gcs.fault(makesObject, { after: held });
    const done = errorOf(gcs.put());
    await vi.waitUntil(() => gcs.asked.some(makesObject), { timeout: 20_000 });
    gcs.context.abort();
    release();
    expect((await done).code).toBe('aborted');
    // The context is aborted now: the server is asked itself.
    expect(gcs.calls).toContain('delete');
    expect(gcs.server.service.bucket(bucket).objects.has(gcs.name)).toBe(false);
  });

  it('is undone when the abort comes while its object is looked for', async () => {
    let looks = 0;
    gcs.server.decide = (request) => {
      if (makesObject(request)) return 'lose the answer';
      return request.call === 'stat' && (looks += 1) === 1 ? 'stall' : undefined;
    };
    const done = errorOf(gcs.put(1000));
    await vi.waitUntil(() => looks === 1, { timeout: 20_000 });
    gcs.context.abort();
    expect((await done).code).toBe('aborted');
    expect(gcs.calls).toContain('delete');
    expect(gcs.server.service.bucket(bucket).objects.has(gcs.name)).toBe(false);
  });
});
