import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
} from '@aws-sdk/client-s3';
import type { Sink } from '@pgsilo/plugin';
import { bodyOf, collect, testContext } from '@pgsilo/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { errorOf } from './errors-of.ts';
import { gatewayHere, makeSink, optionsFor, startGateway } from './gateway.ts';
import type { Gateway, Written } from './gateway.ts';
import { isAboutVersions, isBatch, isLook, startMeddler, versionOf } from './meddler.ts';
import type { Meddler } from './meddler.ts';

const installed = await gatewayHere();
const note = { kind: 'note' } as const;
const day = 86_400_000;

describe.skipIf('unavailable' in installed)('removing', () => {
  let gateway: Gateway;
  let meddler: Meddler;
  let sinks: Sink[];
  let prefix: string;
  const context = testContext();

  beforeAll(async () => {
    gateway = await startGateway(installed);
    await gateway.makeBucket('backups');
    await gateway.makeBucket('versioned', 'versioned');
    await gateway.makeBucket('locked', 'locked');
    meddler = await startMeddler(gateway.endpoint);
  }, 120_000);
  afterAll(async () => {
    await context.dispose();
    await meddler.stop();
    await gateway.stop();
  }, 60_000);
  beforeEach(() => {
    meddler.decide = () => 'pass';
    sinks = [];
    prefix = randomBytes(6).toString('hex');
  });
  afterEach(async () => {
    for (const sink of sinks) await sink.close();
  });

  async function open(more: Partial<Written> = {}): Promise<Sink> {
    const sink = await makeSink({ ...optionsFor(gateway, more), endpoint: meddler.endpoint });
    sinks.push(sink);
    return sink;
  }

  async function versions(bucket: string): Promise<{ objects: number; markers: number }> {
    const command = new ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix });
    const { Versions = [], DeleteMarkers = [] } = await gateway.client.send(command);
    return { objects: Versions.length, markers: DeleteMarkers.length };
  }

  async function fill(sink: Sink, count: number): Promise<string[]> {
    const keys = Array.from({ length: count }, (_, index) => `${prefix}/${index}`);
    const rest = keys.values();
    const lane = async (): Promise<void> => {
      for (const key of rest) await sink.put(key, bodyOf('x'), note, context);
    };
    await Promise.all(Array.from({ length: 16 }, lane));
    return keys;
  }

  it('takes a thousand keys a request', async () => {
    const sink = await open();
    const keys = await fill(sink, 1005);
    let requests = 0;
    meddler.decide = ({ method }) => {
      if (method !== 'GET') requests += 1;
      return 'pass';
    };
    expect(await sink.remove(keys, context)).toEqual([]);
    expect(requests).toBe(2);
    expect(await Array.fromAsync(sink.list(prefix, context))).toEqual([]);
  });

  it('goes key by key where the store knows no batches, and asks for one only once', async () => {
    const sink = await open();
    const keys = await fill(sink, 30);
    let batches = 0;
    meddler.decide = (request) => {
      if (!isBatch(request)) return 'pass';
      batches += 1;
      return { status: 400, code: 'MissingContentMD5' };
    };
    expect(await sink.remove(keys.slice(0, 20), context)).toEqual([]);
    expect(await sink.remove(keys.slice(20), context)).toEqual([]);
    expect(await Array.fromAsync(sink.list(prefix, context))).toEqual([]);
    expect(batches).toBe(1);
  });

  it('does not take a refusal for a store that knows no batches', async () => {
    const sink = await open();
    const keys = await fill(sink, 2);
    meddler.decide = (request) => (isBatch(request) ? { status: 400, code: 'ExpiredToken' } : 'pass');
    expect((await errorOf(sink.remove(keys, context))).code).toBe('sink.denied');
    meddler.decide = (request) => (isBatch(request) ? { status: 503, code: 'SlowDown' } : 'pass');
    expect((await errorOf(sink.remove(keys, context))).code).toBe('sink.unreachable');
  });

  it('removes all versions and delete markers of an object, and those of no other', async () => {
    const sink = await open({ bucket: 'versioned' });
    const key = `${prefix}/one`;
    await sink.put(key, bodyOf('first'), note, context);
    await gateway.client.send(new DeleteObjectCommand({ Bucket: 'versioned', Key: key }));
    await sink.put(key, bodyOf('second'), note, context);
    await gateway.client.send(new PutObjectCommand({ Bucket: 'versioned', Key: key, Body: 'third' }));
    await sink.put(`${key}-more`, bodyOf('x'), note, context);
    expect(await versions('versioned')).toEqual({ objects: 4, markers: 1 });
    expect(await sink.remove([key, `${prefix}/none`], context)).toEqual([]);
    expect(await versions('versioned')).toEqual({ objects: 1, markers: 0 });
    expect(String(await collect(sink.get(`${key}-more`, undefined, context)))).toBe('x');
  });

  it('says until when a locked object is retained, keeps it listed, and removes what is not locked', async () => {
    const locked = await open({ bucket: 'locked', objectLock: { mode: 'COMPLIANCE', days: 3 } });
    const open1 = await open({ bucket: 'locked' });
    const before = Date.now();
    await locked.put(`${prefix}/a`, bodyOf('locked'), note, context);
    await open1.put(`${prefix}/b`, bodyOf('free'), note, context);
    await open1.put(`${prefix}/c`, bodyOf('held'), note, context);
    const hold = { Bucket: 'locked', Key: `${prefix}/c`, LegalHold: { Status: 'ON' } } as const;
    await gateway.client.send(new PutObjectLegalHoldCommand(hold));
    const kept = await open1.remove(
      ['a', 'b', 'c'].map((name) => `${prefix}/${name}`),
      context,
    );
    expect(kept.map(({ key }) => key).sort()).toEqual([`${prefix}/a`, `${prefix}/c`]);
    const until = kept.find(({ key }) => key.endsWith('/a'))!.until!.getTime();
    expect(until).toBeGreaterThan(before + 3 * day - 5000);
    expect(until).toBeLessThan(Date.now() + 3 * day + 5000);
    expect(kept.find(({ key }) => key.endsWith('/c'))).toEqual({ key: `${prefix}/c` });
    const listed = await Array.fromAsync(open1.list(prefix, context));
    expect(listed.map(({ key }) => key).sort()).toEqual([`${prefix}/a`, `${prefix}/c`]);
    expect(await versions('locked')).toEqual({ objects: 2, markers: 0 });
    const off = { ...hold, LegalHold: { Status: 'OFF' } } as const;
    await gateway.client.send(new PutObjectLegalHoldCommand(off));
    expect(await open1.remove([`${prefix}/c`], context)).toEqual([]);
  });

  it('goes on hiding a locked object that somebody has hidden', async () => {
    const sink = await open({ bucket: 'locked', objectLock: { mode: 'COMPLIANCE', days: 3 } });
    const key = `${prefix}/hidden`;
    await sink.put(key, bodyOf('locked'), note, context);
    await gateway.client.send(new DeleteObjectCommand({ Bucket: 'locked', Key: key }));
    expect(await sink.remove([key], context)).toMatchObject([{ key, until: expect.any(Date) }]);
    expect(await Array.fromAsync(sink.list(prefix, context))).toEqual([]);
    expect(await versions('locked')).toEqual({ objects: 1, markers: 1 });
  });

  it('hides objects of whose versions the owner lets nobody dispose, and says so, once', async () => {
    const sink = await open({ bucket: 'versioned' });
    await sink.put(`${prefix}/a`, bodyOf('x'), note, context);
    let refuse = true;
    meddler.decide = (request) => {
      if (!refuse) return 'pass';
      if (isBatch(request)) return { status: 501, code: 'NotImplemented' };
      const version = request.method === 'DELETE' && versionOf(request) !== null;
      return version ? { status: 403, code: 'AccessDenied' } : 'pass';
    };
    for (let turn = 0; turn < 2; turn += 1) {
      expect(await sink.remove([`${prefix}/a`], context)).toEqual([{ key: `${prefix}/a` }]);
      expect(await Array.fromAsync(sink.list(prefix, context))).toEqual([]);
      expect(await versions('versioned')).toEqual({ objects: 1, markers: 1 });
    }
    refuse = false;
    expect(await sink.remove([`${prefix}/a`], context)).toEqual([]);
    expect(await versions('versioned')).toEqual({ objects: 0, markers: 0 });
  });

  it('hides an object again that came back to light after it had been hidden', async () => {
    const sink = await open({ bucket: 'versioned' });
    const key = `${prefix}/a`;
    await sink.put(key, bodyOf('first'), note, context);
    await gateway.client.send(new DeleteObjectCommand({ Bucket: 'versioned', Key: key }));
    await sink.put(key, bodyOf('second'), note, context);
    meddler.decide = (request) => {
      if (isBatch(request)) return { status: 501, code: 'NotImplemented' };
      const version = request.method === 'DELETE' && versionOf(request) !== null;
      return version ? { status: 403, code: 'AccessDenied' } : 'pass';
    };
    expect(await sink.remove([key], context)).toEqual([{ key }]);
    expect(await Array.fromAsync(sink.list(prefix, context))).toEqual([]);
  });

  it.each([
    ['backups', 'and knows that an object without versions is gone', []],
    ['versioned', 'and says which objects were only hidden', ['a', 'b']],
  ] as const)('asks for no more than it may in %s, %s', async (bucket, _, hidden) => {
    for (const batches of [true, false]) {
      const sink = await open({ bucket });
      const keys = ['a', 'b'].map((name) => `${prefix}-${batches}/${name}`);
      for (const key of keys) await sink.put(key, bodyOf('x'), note, context);
      meddler.decide = (request) => {
        if (isAboutVersions(request)) return { status: 403, code: 'AccessDenied' };
        return !batches && isBatch(request) ? { status: 501, code: 'NotImplemented' } : 'pass';
      };
      const kept = await sink.remove(keys, context);
      expect(kept.map(({ key }) => key).sort()).toEqual(hidden.map((name) => `${prefix}-${batches}/${name}`));
      expect(await Array.fromAsync(sink.list(prefix, context))).toEqual([]);
    }
  });

  it('never hides a locked object because the store could not be asked about its lock', async () => {
    const sink = await open({ bucket: 'locked', objectLock: { mode: 'COMPLIANCE', days: 3 } });
    const key = `${prefix}/a`;
    await sink.put(key, bodyOf('locked'), note, context);
    meddler.decide = (request) => (isLook(request) ? { status: 503, code: 'SlowDown' } : 'pass');
    expect((await errorOf(sink.remove([key], context))).code).toBe('sink.unreachable');
    // Without the right to see it, the answer lacks it.
    const withoutLock = (headers: IncomingHttpHeaders): void => {
      for (const name of Object.keys(headers))
        if (name.startsWith('x-amz-object-lock-')) delete headers[name];
    };
    meddler.decide = (request) => (isLook(request) ? { alter: withoutLock } : 'pass');
    expect(await sink.remove([key], context)).toEqual([{ key }]);
    expect(await versions('locked')).toEqual({ objects: 1, markers: 0 });
  });

  it("understands MinIO's words for a lock", async () => {
    const sink = await open({ bucket: 'locked', objectLock: { mode: 'COMPLIANCE', days: 3 } });
    const key = `${prefix}/a`;
    await sink.put(key, bodyOf('locked'), note, context);
    const locked = 'Object is WORM protected and cannot be overwritten';
    meddler.decide = (request) => {
      if (isBatch(request)) return { status: 501, code: 'NotImplemented' };
      return request.method === 'DELETE' ? { status: 400, code: 'InvalidRequest', message: locked } : 'pass';
    };
    expect(await sink.remove([key], context)).toEqual([{ key, until: expect.any(Date) }]);
  });

  it('is refused as a whole where nothing may be removed', async () => {
    const sink = await open();
    const keys = await fill(sink, 3);
    meddler.decide = (request) => (isBatch(request) ? { status: 403, code: 'AccessDenied' } : 'pass');
    expect((await errorOf(sink.remove(keys, context))).code).toBe('sink.denied');
  });
});
