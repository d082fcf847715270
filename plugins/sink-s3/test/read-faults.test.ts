import { bodyOf, randomBody, sha256Of } from '@pgsilo/testkit';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { beforeEach, describe, expect, it } from 'vitest';
import { artifact, large, mebibyte, useBadNetwork } from './bad-network.ts';
import { errorOf } from './errors-of.ts';
import { gatewayHere } from './gateway.ts';
import { isBodyRead } from './meddler.ts';

const installed = await gatewayHere();

describe.skipIf('unavailable' in installed)('a reader behind a bad network', () => {
  const at = useBadNetwork(installed);
  const read = () => sha256Of(at.sink.get(at.key, undefined, at.context));
  beforeEach(() => at.sink.put(at.key, randomBody(large), artifact, at.context));

  it('goes on reading where a connection broke', async () => {
    const met = at.meddler.meet(2, isBodyRead, () => ({ cut: 2000 }));
    expect(await read()).toBe(await sha256Of(randomBody(large)));
    expect(met()).toBe(2);
    const whole = Buffer.concat(await Array.fromAsync(randomBody(large)));
    at.meddler.meet(1, isBodyRead, () => ({ cut: 1000 }));
    const range = { offset: 5000, length: 50_000 };
    expect(await sha256Of(at.sink.get(at.key, range, at.context))).toBe(
      await sha256Of(bodyOf(whole.subarray(5000, 55_000))),
    );
  });

  it('reads to the end through a proxy that cuts every connection after a while', async () => {
    const met = at.meddler.meet(Infinity, isBodyRead, () => ({ cut: 1.5 * mebibyte }));
    expect(await read()).toBe(await sha256Of(randomBody(large)));
    // More often than a connection that brings nothing is made again.
    expect(met()).toBeGreaterThanOrEqual(8);
  });

  it('fails to read when every connection breaks, or when the store has less than it said', async () => {
    const met = at.meddler.meet(Infinity, isBodyRead, () => ({ cut: 1000 }));
    expect((await errorOf(read())).code).toBe('sink.unreachable');
    expect(met()).toBeLessThan(10);
    at.meddler.meet(Infinity, isBodyRead, () => ({ cut: 1000, asIfWhole: true }));
    const range = { offset: 0, length: 5000 };
    const short = errorOf(sha256Of(at.sink.get(at.key, range, at.context)));
    expect((await short).code).toBe('sink.corrupt');
  });

  it('does not mix the bytes of two objects when one was replaced meanwhile', async () => {
    let reads = 0;
    at.meddler.decide = (request) => {
      if (!isBodyRead(request)) return 'pass';
      reads += 1;
      if (reads === 1) return { cut: 2 * mebibyte };
      const object = { Bucket: 'backups', Key: at.key };
      return at.gateway.client
        .send(new DeleteObjectCommand(object))
        .then(() => at.gateway.client.send(new PutObjectCommand({ ...object, Body: Buffer.alloc(large) })))
        .then(() => undefined);
    };
    const error = await errorOf(read());
    expect(error).toMatchObject({ code: 'sink.corrupt', message: expect.stringContaining('another object') });
  });

  it('gets over a clock that is wrong by itself, and says so where that does not help', async () => {
    const skewed = {
      status: 403,
      code: 'RequestTimeTooSkewed',
      headers: { date: new Date(Date.now() + 600_000).toUTCString() },
    };
    const always = () => true;
    at.meddler.meet(1, always, () => skewed);
    expect(await at.sink.put(`${at.key}-1`, randomBody(1000), artifact, at.context)).toEqual({ bytes: 1000 });
    at.meddler.meet(Infinity, always, () => skewed);
    const error = await errorOf(at.sink.put(`${at.key}-2`, randomBody(1000), artifact, at.context));
    expect(error).toMatchObject({ code: 'sink.denied', hint: expect.stringContaining('clock') });
  });
});
