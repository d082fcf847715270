import type { IncomingHttpHeaders } from 'node:http';
import { crc32 } from 'node:zlib';
import { bodyOf, randomBody, sha256Of, testContext } from '@pgsilo/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import { artifact, large, mebibyte, useBadNetwork } from './bad-network.ts';
import { errorOf } from './errors-of.ts';
import { gatewayHere, makeSink, optionsFor } from './gateway.ts';
import { isCompletion, isLook, isWhole } from './meddler.ts';

const installed = await gatewayHere();

const kinds = [
  ['of many parts', large, isCompletion],
  ['of one request', 1000, isWhole],
] as const;

/** As Amazon tells of an object of parts, of parts of 5 MiB; Ceph tells that of all bytes. */
const composites = new Map<string, string>();
async function noteComposite(body: AsyncIterable<Uint8Array>): Promise<void> {
  const content = Buffer.concat(await Array.fromAsync(body));
  const sums: Buffer[] = [];
  for (let start = 0; start < content.length; start += 5 * mebibyte)
    sums.push(sumOf(content.subarray(start, start + 5 * mebibyte)));
  const composite = `${sumOf(Buffer.concat(sums)).toString('base64')}-${sums.length}`;
  if (sums.length > 1) composites.set(sumOf(content).toString('base64'), composite);
}
function sumOf(bytes: Buffer): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum;
}
function withoutMark(headers: IncomingHttpHeaders): void {
  for (const name of Object.keys(headers)) if (name.startsWith('x-amz-meta-')) delete headers[name];
  const sum = headers['x-amz-checksum-crc32'];
  if (typeof sum === 'string') headers['x-amz-checksum-crc32'] = composites.get(sum) ?? sum;
}

describe.skipIf('unavailable' in installed)('who made an object is settled', () => {
  const at = useBadNetwork(installed);
  const put = (bytes: number) => at.sink.put(at.key, randomBody(bytes), artifact, at.context);

  /** Another writer's object comes just before the request that would make ours. */
  function meetRival(content: () => AsyncIterable<Uint8Array>, makes: (typeof kinds)[number][2]): void {
    let rival = false;
    at.meddler.decide = (request) => {
      if (rival || !makes(request)) return look(request);
      rival = true;
      return makeSink(optionsFor(at.gateway, { checksums: 'always' })).then(async (other) => {
        await other.put(at.key, content(), artifact, at.context);
        await other.close();
      });
    };
  }
  let look: typeof at.meddler.decide = () => 'pass';
  afterEach(() => {
    look = () => 'pass';
  });

  it.each(kinds)('as ours, %s, when the answer that made it is lost', async (_, bytes, makes) => {
    for (const times of [1, Infinity]) {
      const met = at.meddler.meet(times, makes, () => 'lose the answer');
      expect(await put(bytes)).toEqual({ bytes });
      expect(met()).toBeGreaterThanOrEqual(1);
      at.meddler.decide = () => 'pass';
      await at.mustBeWhole(bytes);
      expect((await errorOf(put(bytes))).code).toBe('sink.exists');
      at.key += '-again';
    }
  });

  it.each(kinds)("as another writer's, %s, when ours is refused", async (_, bytes, makes) => {
    meetRival(() => bodyOf('the rival'), makes);
    expect((await errorOf(put(bytes))).code).toBe('sink.exists');
    const stored = await sha256Of(at.sink.get(at.key, undefined, at.context));
    expect(stored).toBe(await sha256Of(bodyOf('the rival')));
  });

  it.each(kinds)(
    'by its checksum, %s, where the store keeps no metadata, even when all sizes are equal',
    async (_, bytes, makes) => {
      look = (request) => (isLook(request) ? { alter: withoutMark } : 'pass');
      const sink = await at.open({ checksums: 'always' });
      const own = () => sink.put(at.key, randomBody(bytes), artifact, at.context);
      for (const seed of [undefined, 99]) await noteComposite(randomBody(bytes, seed));
      let lost = 0;
      at.meddler.decide = (request) => {
        if (!makes(request)) return look(request);
        lost += 1;
        return 'lose the answer';
      };
      expect(await own()).toEqual({ bytes });
      expect(lost).toBeGreaterThanOrEqual(1);
      at.key += '-rival';
      meetRival(() => randomBody(bytes, 99), makes);
      expect((await errorOf(own())).code).toBe('sink.exists');
    },
  );

  it('not as a refusal when the store cannot be asked whose it is', async () => {
    at.meddler.decide = (request) => {
      if (isLook(request)) return { status: 503, code: 'SlowDown' };
      return isWhole(request) ? { status: 412, code: 'PreconditionFailed' } : 'pass';
    };
    expect((await errorOf(put(1000))).code).toBe('sink.unreachable');
  });

  it.each(kinds)('when a conflict, %s, with another writer is over', async (_, bytes, makes) => {
    const met = at.meddler.meet(2, makes, () => ({ status: 409, code: 'ConditionalRequestConflict' }));
    expect(await put(bytes)).toEqual({ bytes });
    expect(met()).toBe(2);
    await at.mustBeWhole(bytes);
  });

  it.each([
    ['many parts', 'backups', large, isCompletion],
    ['one request', 'backups', 1000, isWhole],
    ['one request in a bucket with versions', 'versioned', 1000, isWhole],
  ] as const)('and one of %s that came to be after an abort is removed', async (_, bucket, bytes, makes) => {
    const own = testContext();
    const sink = await at.open({ bucket });
    const made = Promise.withResolvers<void>();
    at.meddler.done = (request) => {
      if (makes(request)) made.resolve();
    };
    at.meddler.decide = (request) => {
      if (makes(request)) own.abort();
      return 'pass';
    };
    expect((await errorOf(sink.put(at.key, randomBody(bytes), artifact, own))).code).toBe('aborted');
    await made.promise;
    await at.mustBeGone(bucket);
    await own.dispose();
  });
});
