import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { isPgsiloError } from '@pgsilo/plugin';
import type { Body, Sink } from '@pgsilo/plugin';
import {
  bodyOf,
  collect,
  gatedBody,
  randomBody,
  recordingLogger,
  stalledBody,
  testContext,
} from '@pgsilo/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import plugin from '../src/index.ts';
import { account, key, startAzurite } from './azurite.ts';
import type { Azurite } from './azurite.ts';
import { isCommit, isStage, startMeddler } from './meddler.ts';
import type { Meddler } from './meddler.ts';

const mebibyte = 1024 * 1024;
const artifact = { kind: 'artifact' } as const;

let server: Azurite;
let meddler: Meddler;
let sink: Sink;
let context: ReturnType<typeof testContext>;
let name: string;
/** Blocks that have arrived. */
let staged: number;

beforeAll(async () => {
  server = await startAzurite();
  await server.service.createContainer('backups');
  meddler = await startMeddler(server.endpoint);
}, 60_000);
afterAll(async () => {
  await meddler.stop();
  await server.stop();
}, 60_000);

beforeEach(async () => {
  meddler.decide = () => 'pass';
  staged = 0;
  meddler.done = (request) => {
    if (isStage(request)) staged += 1;
  };
  context = testContext({ memory: 8 * mebibyte });
  name = `objects/${randomBytes(6).toString('hex')}`;
  const options = { container: 'backups', endpoint: meddler.endpoint, account, key, blockSize: '1MiB' };
  sink = await plugin.create(plugin.options.parse(options), {
    pipeline: 'test',
    folder: '/',
    log: recordingLogger(),
  });
});
afterEach(async () => {
  await sink.close();
  await context.dispose();
});

const patience = { timeout: 20_000, interval: 10 };
const arrived = (blocks: number) => vi.waitUntil(() => staged >= blocks, patience);

async function keys(): Promise<string[]> {
  return (await Array.fromAsync(sink.list(name, context))).map((object) => object.key);
}
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'no error',
    (error: unknown) => (isPgsiloError(error) ? error.code : error),
  );

describe('an object of many blocks', () => {
  it.each([2.5 * mebibyte, 10, 0])(
    'can be written with %d bytes after a body that threw when blocks had arrived',
    async (bytes) => {
      const error = new Error('pg_dump died');
      async function* body(): Body {
        yield* randomBody(3 * mebibyte);
        await arrived(2);
        throw error;
      }
      expect(await codeOf(sink.put(name, body(), artifact, context))).toBe(error);
      expect(await keys()).toEqual([]);
      expect(await sink.put(name, randomBody(bytes), artifact, context)).toEqual({ bytes });
      expect((await sink.stat(name, context)).bytes).toBe(bytes);
    },
  );

  it('has one winner of two writers, whole', async () => {
    const begin = async (fill: number, blocksBefore: number) => {
      const content = Buffer.alloc(5 * mebibyte, fill);
      const { body, reached, open } = gatedBody(
        content.subarray(0, 3 * mebibyte),
        content.subarray(3 * mebibyte),
      );
      const done = codeOf(sink.put(name, body, artifact, context));
      await reached;
      await arrived(blocksBefore + 2);
      return { content, open, done };
    };
    const first = await begin(1, 0);
    // Its blocks come after those of the first, before any of them is part of an object.
    const second = await begin(2, staged);
    first.open();
    expect(await first.done).toBe('no error');
    second.open();
    expect(await second.done).toBe('sink.exists');
    expect((await collect(sink.get(name, undefined, context))).equals(first.content)).toBe(true);
  });

  it('is refused when one of few bytes came meanwhile', async () => {
    const { body, reached, open } = gatedBody(Buffer.alloc(3 * mebibyte), Buffer.alloc(mebibyte));
    const done = codeOf(sink.put(name, body, artifact, context));
    await reached;
    await arrived(2);
    await sink.put(name, bodyOf('first'), artifact, context);
    open();
    expect(await done).toBe('sink.exists');
    expect(String(await collect(sink.get(name, undefined, context)))).toBe('first');
  });

  it('is seen by nobody before it is whole, nor after an abort', async () => {
    const own = testContext({ memory: 8 * mebibyte });
    const done = codeOf(sink.put(name, stalledBody(randomBody(4 * mebibyte)), artifact, own));
    await arrived(3);
    expect(await keys()).toEqual([]);
    expect(await codeOf(sink.stat(name, context))).toBe('sink.not-found');
    own.abort();
    expect(await done).toBe('aborted');
    expect(await keys()).toEqual([]);
    await sink.put(name, bodyOf('anew'), artifact, context);
    expect(await keys()).toEqual([name]);
  });

  it('is ended by a block that is refused, even while its body stalls', async () => {
    meddler.decide = (request) =>
      isStage(request) ? { status: 403, code: 'AuthorizationPermissionMismatch' } : 'pass';
    expect(await codeOf(sink.put(name, stalledBody(randomBody(4 * mebibyte)), artifact, context))).toBe(
      'sink.denied',
    );
  });

  it('takes no more memory than it may while the store is slow', async () => {
    const gate = Promise.withResolvers<void>();
    meddler.decide = (request) => (isStage(request) ? gate.promise : 'pass');
    let produced = 0;
    async function* counted(): Body {
      for await (const chunk of randomBody(32 * mebibyte)) {
        produced += chunk.length;
        yield chunk;
      }
    }
    const put = sink.put(name, counted(), artifact, context);
    await vi.waitUntil(() => produced > 6 * mebibyte, patience);
    // Time to take more than it may, if it would.
    await sleep(300);
    expect(produced).toBeLessThanOrEqual(8.5 * mebibyte);
    gate.resolve();
    expect(await put).toEqual({ bytes: 32 * mebibyte });
  });
});

describe.each(['many blocks', 'one request'])('the request that makes an object of %s', (how) => {
  const content = randomBytes(how === 'many blocks' ? 2 * mebibyte : 1000);
  const makes = how === 'many blocks' ? isCommit : isUpload;

  it('may lose its answer', async () => {
    let lost = 0;
    meddler.decide = (request) => (makes(request) && lost++ === 0 ? 'lose the answer' : 'pass');
    expect(await sink.put(name, bodyOf(content), artifact, context)).toEqual({ bytes: content.length });
    expect(lost).toBe(2);
    expect((await collect(sink.get(name, undefined, context))).equals(content)).toBe(true);
  });

  it('may lose every answer', async () => {
    meddler.decide = (request) => (makes(request) ? 'lose the answer' : 'pass');
    expect(await sink.put(name, bodyOf(content), artifact, context)).toEqual({ bytes: content.length });
  });

  it('leaves nothing when it is done after an abort', async () => {
    const own = testContext({ memory: 8 * mebibyte });
    const made = Promise.withResolvers<void>();
    meddler.done = (request) => {
      if (makes(request)) made.resolve();
    };
    meddler.decide = (request) => {
      if (!makes(request)) return 'pass';
      own.abort();
      return sleep(300);
    };
    expect(await codeOf(sink.put(name, bodyOf(content), artifact, own))).toBe('aborted');
    await made.promise;
    expect(await keys()).toEqual([]);
  });

  it('is given up when it hangs after an abort', async () => {
    const own = testContext({ memory: 8 * mebibyte });
    meddler.decide = (request) => {
      if (!makes(request)) return 'pass';
      own.abort();
      return new Promise(() => {});
    };
    expect(await codeOf(sink.put(name, bodyOf(content), artifact, own))).toBe('aborted');
    expect(await keys()).toEqual([]);
  });
});

function isUpload({ method, url = '' }: IncomingMessage): boolean {
  return method === 'PUT' && !url.includes('comp=');
}

describe('a store that is out of order', () => {
  it('is asked three times', async () => {
    let asked = 0;
    meddler.decide = () => {
      asked += 1;
      return { status: 503, code: 'ServerBusy' };
    };
    expect(await codeOf(sink.stat(name, context))).toBe('sink.unreachable');
    expect(asked).toBe(3);
    expect(context.retries, 'repetitions that the run counts').toBe(2);
  });

  it.each([
    ['of a small object', 1000, isUpload],
    ['of a block', 3 * mebibyte, isStage],
    ['of the list of blocks', 3 * mebibyte, isCommit],
  ] as const)('and well again: the request %s is repeated, and counted', async (_, bytes, meant) => {
    let failed = 0;
    meddler.decide = (request) => {
      if (!meant(request) || failed === 2) return 'pass';
      failed += 1;
      return { status: 503, code: 'ServerBusy' };
    };
    const content = await collect(randomBody(bytes));
    await sink.put(name, bodyOf(content), artifact, context);
    meddler.decide = () => 'pass';
    expect(Buffer.compare(await collect(sink.get(name, undefined, context)), content)).toBe(0);
    expect(context.retries).toBe(2);
  });

  it('is not asked again for what another try would not change', async () => {
    let asked = 0;
    meddler.decide = () => {
      asked += 1;
      return { status: 403, code: 'AuthorizationFailure' };
    };
    expect(await codeOf(sink.stat(name, context))).toBe('sink.denied');
    expect([asked, context.retries]).toEqual([1, 0]);
  });

  it('is not waited for after an abort', async () => {
    const own = testContext({ memory: 8 * mebibyte });
    meddler.decide = () => {
      setTimeout(() => own.abort(), 20);
      return { status: 503, code: 'ServerBusy' };
    };
    const began = performance.now();
    expect(await codeOf(sink.stat(name, own))).toBe('aborted');
    expect(performance.now() - began).toBeLessThan(300);
    await own.dispose();
  });
});
