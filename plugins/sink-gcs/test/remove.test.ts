import type { Sink } from '@pgsilo/plugin';
import { bodyOf, testContext } from '@pgsilo/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { bucket, startTestGcs } from './gcs.ts';
import type { TestGcs } from './gcs.ts';

const hour = 3_600_000;
const context = testContext();
let server: TestGcs;
let sink: Sink;

beforeAll(async () => {
  server = await startTestGcs();
});
afterAll(async () => {
  await server.stop();
  await context.dispose();
});
beforeEach(() => {
  server.service.buckets.clear();
  server.service.createBucket(bucket);
  server.decide = () => undefined;
  sink = server.open();
});
afterEach(() => sink.close());

const put = (key: string) => sink.put(key, bodyOf('x'), { kind: 'note' }, context);
const stored = (key: string) => server.service.bucket(bucket).objects.get(key) ?? [];
const keys = async () => (await Array.fromAsync(sink.list('', context))).map(({ key }) => key);

describe('removing', () => {
  it('takes many keys at once, those that are not there too', async () => {
    const many = Array.from({ length: 50 }, (_, index) => `many/${index}`);
    await Promise.all(many.map(put));
    let waiting = 0;
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.decide = ({ call }) => {
      if (call !== 'delete') return undefined;
      waiting += 1;
      return { after: held };
    };
    const removing = sink.remove([...many, 'gone'], context);
    await vi.waitUntil(() => waiting >= 16, { timeout: 20_000 });
    const atOnce = waiting;
    release();
    expect(await removing).toEqual([]);
    expect(await keys()).toEqual([]);
    expect([atOnce, waiting]).toEqual([16, 51]);
  });

  it.each([
    ['whose settings can be read', undefined],
    ['whose settings cannot be read', { status: 403, reason: 'forbidden' }],
  ])(
    'removes all generations of a bucket with versions %s, and those of no other object',
    async (_, fault) => {
      server.service.createBucket(bucket, { versioning: true });
      let deletes = 0;
      server.decide = ({ call }) => {
        if (call === 'delete') deletes += 1;
        return call === 'bucket' ? fault : undefined;
      };
      const insert = (name: string) =>
        server.service.insert(server.service.bucket(bucket), { name }, Buffer.from('x'), {});
      // More than a page of generations.
      for (const name of [...Array<string>(25).fill('a'), 'ab', 'b']) insert(name);
      server.service.remove(server.service.bucket(bucket), 'b', undefined, {});
      expect(await sink.remove(['a', 'b', 'gone'], context)).toEqual([]);
      expect([...server.service.bucket(bucket).objects.keys()]).toEqual(['ab']);
      expect(deletes).toBe(26);
    },
  );

  it.each([false, true])(
    'leaves what a policy retains, and says until when; versions: %s',
    async (versioning) => {
      server.service.createBucket(bucket, { versioning, retention: hour });
      await put('kept');
      const until = new Date(stored('kept')[0]!.created.getTime() + hour);
      expect(await sink.remove(['kept', 'gone'], context)).toEqual([{ key: 'kept', until }]);
      // It is not hidden behind a newer state either.
      expect(await keys()).toEqual(['kept']);
    },
  );

  it('takes the word of the service for it, when the clock here is ahead', async () => {
    server.service.createBucket(bucket, { retention: hour });
    await put('kept');
    const until = new Date(stored('kept')[0]!.created.getTime() + hour);
    const clock = { ...context.clock, now: () => new Date(Date.now() + 2 * hour) };
    expect(await sink.remove(['kept'], { ...context, clock })).toEqual([{ key: 'kept', until }]);
  });

  it.each(['temporaryHold', 'eventBasedHold'])('leaves what a %s holds, without an end', async (kind) => {
    await put('held');
    await put('free');
    const held = stored('held')[0]!;
    held.said = { ...held.said, [kind]: true };
    expect(await sink.remove(['free', 'held'], context)).toEqual([{ key: 'held' }]);
    expect(await keys()).toEqual(['held']);
  });

  it('without the right to it is denied: it is no retention', async () => {
    await put('x');
    server.decide = ({ call }) => (call === 'delete' ? { status: 403, reason: 'forbidden' } : undefined);
    await expect(sink.remove(['x'], context)).rejects.toMatchObject({ code: 'sink.denied' });
  });

  it('is repeated after a lost answer', async () => {
    await put('x');
    const faults = ['lose the answer'] as const;
    let at = 0;
    server.decide = ({ call }) => (call === 'delete' ? faults[at++] : undefined);
    expect(await sink.remove(['x'], context)).toEqual([]);
    expect(stored('x')).toEqual([]);
  });
});

describe('check', () => {
  const check = async () =>
    (await Array.fromAsync(sink.check(context))).map(({ name, status }) => [name, status]);

  it.each([false, true])('proves what is needed and leaves nothing; versions: %s', async (versioning) => {
    server.service.createBucket(bucket, { versioning });
    expect(await check()).toEqual([['write access', 'ok']]);
    expect(server.service.bucket(bucket).objects.size).toBe(0);
  });

  it('says what the bucket keeps of it', async () => {
    server.service.createBucket(bucket, { retention: hour });
    expect(await check()).toEqual([
      ['write access', 'ok'],
      ['removal', 'ok'],
    ]);
    server.service.createBucket(bucket, { defaultEventBasedHold: true });
    expect(await check()).toEqual([
      ['write access', 'ok'],
      ['removal', 'warning'],
    ]);
  });

  it.each(['insert', 'read', 'list', 'delete'] as const)('fails without the right to %s', async (call) => {
    server.decide = (request) => (request.call === call ? { status: 403, reason: 'forbidden' } : undefined);
    const [result] = await Array.fromAsync(sink.check(context));
    expect(result).toMatchObject({ status: 'failed', hint: expect.stringContaining('Storage Object User') });
  });
});

describe('what an object is stored with', () => {
  const kmsKeyName = 'projects/p/locations/eu/keyRings/r/cryptoKeys/k';

  it('is the class for artifacts, STANDARD for what is read often, and the key for both', async () => {
    await sink.close();
    sink = server.open({ storageClass: 'COLDLINE', kmsKeyName });
    await sink.put('a', bodyOf('x'), { kind: 'artifact' }, context);
    await sink.put('m', bodyOf('x'), { kind: 'manifest' }, context);
    expect(['a', 'm'].map((key) => stored(key)[0]!.said)).toMatchObject([
      { storageClass: 'COLDLINE', kmsKeyName },
      { storageClass: 'STANDARD', kmsKeyName },
    ]);
  });

  it('is what the bucket says, unless options do', async () => {
    await put('x');
    const { said } = stored('x')[0]!;
    expect([said.storageClass, said.kmsKeyName]).toEqual([undefined, undefined]);
  });

  it('names the project that pays, in each request that has a token', async () => {
    server.service.createBucket(bucket, { requesterPays: true });
    await expect(put('x')).rejects.toMatchObject({
      code: 'sink.denied',
      hint: expect.stringContaining('projectId'),
    });
    await sink.close();
    sink = server.open({ projectId: 'acme-prod' });
    const payers: unknown[] = [];
    server.decide = ({ call, query, headers }) => {
      if (call !== 'token') payers.push(query.get('userProject'), headers['x-goog-user-project']);
      return undefined;
    };
    await put('x');
    expect(await keys()).toEqual(['x']);
    expect(await sink.remove(['x'], context)).toEqual([]);
    expect(new Set(payers)).toEqual(new Set(['acme-prod']));
  });
});
