import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomBody, sha256Of, testContext } from '@pgsilo/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import plugin from '../src/index.ts';
import { planParts } from '../src/part-plan.ts';
import type { PartSettings } from '../src/part-plan.ts';
import { read } from '../src/read.ts';
import { openStore } from '../src/store.ts';
import type { Store } from '../src/store.ts';
import { upload } from '../src/upload.ts';
import { startCountingServer } from './counting-server.ts';
import type { CountingServer } from './counting-server.ts';
import { errorOf } from './errors-of.ts';
import { gatewayHere, makeSink, optionsFor, startGateway } from './gateway.ts';
import type { Gateway, Written } from './gateway.ts';
import { isPart, startMeddler } from './meddler.ts';

const artifact = { kind: 'artifact' } as const;
const mebibyte = 2 ** 20;
const keys = { accessKeyId: 'key', secretAccessKey: 'not so secret' };

let stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

function open(options: Written): Store {
  const store = openStore(plugin.options.parse(options));
  stops.push(() => store.close());
  return store;
}

describe('an upload that is far longer than anybody thought, on a small scale', () => {
  /** Far less than the service's sizes. */
  const limits = { smallest: 5_000, largest: 60_000 };
  async function send(settings: PartSettings, bytes: number, estimate: number) {
    const server = await startCountingServer(settings.maxParts, limits.smallest);
    stops.push(() => server.stop());
    const context = testContext();
    stops.push(() => context.dispose());
    const store = open({ bucket: 'backups', endpoint: server.endpoint, ...keys });
    const plan = planParts(settings, estimate, 60_000, limits);
    const stored = upload(store, 'key', randomBody(bytes), artifact, plan, context);
    return { server, stored, scratch: await context.scratch() };
  }

  it.each([
    ['the 10,000 parts of the service', 10_000, 420_000_000],
    ['the 1,000 parts of a clone', 1000, 42_000_000],
  ])(
    'fits into %s',
    async (_, maxParts, bytes) => {
      const settings = { partSize: 8_000, maxParts, concurrency: 8, equalParts: false };
      // Far more than parts of one size would hold.
      expect(bytes).toBeGreaterThan(3 * settings.partSize * maxParts);
      const { server, stored, scratch } = await send(settings, bytes, 0);
      expect(await stored).toEqual({ bytes });
      const { parts, completed, aborted } = server.upload;
      expect([completed, aborted]).toEqual([true, false]);
      expect(parts.size).toBeGreaterThan(0.8 * maxParts);
      expect([...parts.values()].reduce((sum, size) => sum + size, 0)).toBe(bytes);
      expect(await readdir(scratch)).toEqual([]);
    },
    240_000,
  );

  it('is of equal parts where a store wants that, and says what to do when they run out', async () => {
    const settings = { partSize: 8_000, maxParts: 50, concurrency: 4, equalParts: true };
    const fits = await send(settings, 399_000, 300_000);
    expect(await fits.stored).toEqual({ bytes: 399_000 });
    expect(new Set([...fits.server.upload.parts.values()].slice(0, -1)).size).toBe(1);
    const { server, stored } = await send(settings, 900_000, 0);
    const error = await errorOf(stored);
    expect(error).toMatchObject({ code: 'sink.too-large', hint: expect.stringContaining('partSize') });
    expect([server.upload.completed, server.upload.aborted]).toEqual([false, true]);
  });
});

const installed = await gatewayHere();
describe.skipIf('unavailable' in installed)('parts that are larger than the memory', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await startGateway(installed);
    await gateway.makeBucket('backups');
  }, 120_000);
  afterAll(() => gateway.stop(), 60_000);

  it.each(['always', 'required'] as const)(
    'go through files, also when a connection breaks, with checksums %s',
    async (checksums) => {
      const meddler = await startMeddler(gateway.endpoint);
      stops.push(() => meddler.stop());
      const context = testContext({ memory: 6 * mebibyte });
      stops.push(() => context.dispose());
      const store = open({ ...optionsFor(gateway, { checksums }), endpoint: meddler.endpoint });
      const settings = { partSize: 5 * mebibyte, maxParts: 3, concurrency: 4, equalParts: false };
      const bytes = 28 * mebibyte;
      const plan = planParts(settings, 16 * mebibyte, context.memory);
      expect(plan.sizeOf(0)).toBeGreaterThan(plan.largestHeld);
      let met = 0;
      meddler.decide = (request) => (isPart(request) && met++ === 1 ? 'reset' : 'pass');
      const key = randomBytes(6).toString('hex');
      expect(await upload(store, key, randomBody(bytes), artifact, plan, context)).toEqual({ bytes });
      expect(met).toBe(3);
      expect(await sha256Of(read(store, key, undefined, context))).toBe(await sha256Of(randomBody(bytes)));
      expect(await readdir(await context.scratch())).toEqual([]);
      // The first part is in its file already then.
      const again = errorOf(upload(store, key, randomBody(bytes), artifact, plan, context));
      expect((await again).code).toBe('sink.exists');
      expect(await readdir(await context.scratch())).toEqual([]);
      meddler.decide = (request) => (isPart(request) ? { status: 403, code: 'AccessDenied' } : 'pass');
      expect(
        (await errorOf(upload(store, `${key}-2`, randomBody(bytes), artifact, plan, context))).code,
      ).toBe('sink.denied');
      expect(await readdir(await context.scratch())).toEqual([]);
    },
  );
});

describe('credentials', () => {
  /** What a container's agent gives: credentials that end in a minute, so that the SDK asks for the next ones. */
  async function startAgent(): Promise<{ readonly url: string; given: number }> {
    const agent = { url: '', given: 0 };
    const server = createServer((_request, response) => {
      agent.given += 1;
      const Expiration = new Date(Date.now() + 60_000).toISOString();
      response.end(
        JSON.stringify({
          AccessKeyId: 'key',
          SecretAccessKey: 'secret',
          Token: `token-${agent.given}`,
          Expiration,
        }),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stops.push(() => new Promise((resolve) => server.close(resolve)));
    agent.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    return agent;
  }

  it('of a container are found by the default search, and renewed in the middle of an upload', async () => {
    const agent = await startAgent();
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', agent.url);
    for (const name of [
      'AWS_ACCESS_KEY_ID',
      'AWS_SECRET_ACCESS_KEY',
      'AWS_PROFILE',
      'AWS_WEB_IDENTITY_TOKEN_FILE',
    ])
      vi.stubEnv(name, undefined);
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
    vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
    stops.push(() => vi.unstubAllEnvs());
    const server: CountingServer = await startCountingServer(1000, 5_000);
    stops.push(() => server.stop());
    const sink = await makeSink({ bucket: 'backups', endpoint: server.endpoint, partSize: '5MiB' });
    stops.push(() => sink.close());
    const context = testContext();
    stops.push(() => context.dispose());
    async function* body(): AsyncGenerator<Uint8Array> {
      yield* randomBody(12 * mebibyte);
      await vi.waitUntil(() => server.upload.parts.size >= 2, { timeout: 20_000, interval: 10 });
      // The first ones end here, before the last part.
      server.expired.add('token-1');
      yield* randomBody(mebibyte);
    }
    expect(await sink.put('key', body(), artifact, context)).toEqual({ bytes: 13 * mebibyte });
    expect(server.tokens.size).toBeGreaterThan(1);
    expect(agent.given).toBeGreaterThan(1);
  });
});
