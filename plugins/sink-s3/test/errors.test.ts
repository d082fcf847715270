import { inspect } from 'node:util';
import { bodyOf, collect, testContext } from '@pgsilo/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { translate } from '../src/errors.ts';
import { errorOf } from './errors-of.ts';
import { gatewayHere, makeSink, optionsFor, startGateway } from './gateway.ts';
import type { Gateway, Written } from './gateway.ts';
import { startMeddler } from './meddler.ts';

describe('what no server can be made to say here', () => {
  it.each([
    ['EAI_AGAIN', 'getaddrinfo EAI_AGAIN s3.example.org', 'sink.unreachable'],
    ['EHOSTUNREACH', 'connect EHOSTUNREACH 10.0.0.1:443', 'sink.unreachable'],
    ['ERR_INVALID_ARG_TYPE', 'The "path" argument must be a string', 'sink.failed'],
  ])('an error with the code %s (%s) is a %s', (code, message, wanted) => {
    expect(translate(Object.assign(new Error(message), { code }), 'store it').code).toBe(wanted);
  });
});

const installed = await gatewayHere();
describe.skipIf('unavailable' in installed)('errors', () => {
  let gateway: Gateway;
  const context = testContext();
  beforeAll(async () => {
    gateway = await startGateway(installed);
    await gateway.makeBucket('backups');
  }, 120_000);
  afterAll(async () => {
    await context.dispose();
    await gateway?.stop();
  }, 60_000);

  it.each<[string, string, () => Written]>([
    ['a bucket that is not there', 'sink.missing', () => optionsFor(gateway, { bucket: 'missing' })],
    ['a wrong key', 'sink.denied', () => optionsFor(gateway, { secretAccessKey: 'wrong-secret-of-key' })],
    ['an unknown key', 'sink.denied', () => optionsFor(gateway, { accessKeyId: 'unknown' })],
    [
      'a server that is not there',
      'sink.unreachable',
      () => optionsFor(gateway, { endpoint: 'http://127.0.0.1:9' }),
    ],
    [
      'a name that no server has',
      'sink.unreachable',
      () => optionsFor(gateway, { endpoint: 'http://nowhere.invalid' }),
    ],
  ])(
    'errors of %s have their code, a hint, and none of the request',
    async (_, code, options) => {
      const sink = await makeSink(options());
      const calls = [
        sink.stat('a', context),
        collect(sink.get('a', undefined, context)),
        Array.fromAsync(sink.list('', context)),
        sink.put('a', bodyOf('x'), { kind: 'note' }, context),
        sink.remove(['a'], context),
        sink.sweep!('', new Date(), context),
      ];
      for (const error of await Promise.all(calls.map(errorOf))) {
        expect([error.code, error.message]).toEqual([code, expect.any(String)]);
        expect(error.hint).toMatch(/./);
        expect(error.message).not.toMatch(/\n|undefined/);
        const seen = inspect(error, { depth: 8, showHidden: true });
        expect(seen).not.toMatch(/Signature=|StringToSign|CanonicalRequest|x-amz-content-sha256/);
        expect(seen).not.toContain(gateway.secretAccessKey);
      }
      await sink.close();
    },
    60_000,
  );

  it.each([
    [301, 'PermanentRedirect', 'sink.missing', 'region'],
    [403, 'InvalidObjectState', 'sink.denied', 'restore-object'],
    [403, 'QuotaExceeded', 'sink.full', 'quota'],
    [507, 'XMinioStorageFull', 'sink.full', 'space'],
    [501, 'NotImplemented', 'sink.denied', 'storageClass'],
    [400, 'EntityTooLarge', 'sink.too-large', 'partSize'],
    [400, 'MalformedXML', 'sink.failed', 'doctor'],
    [
      400,
      'InvalidRequest',
      'sink.denied',
      'mode: bucket',
      'Content-MD5 is required for Put Object requests with Object Lock parameters',
    ],
  ])('an answer %d %s is a %s', async (status, code, wanted, words, message = 'told by the meddler') => {
    const meddler = await startMeddler(gateway.endpoint);
    meddler.decide = () => ({ status, code, message });
    const sink = await makeSink(optionsFor(gateway, { endpoint: meddler.endpoint }));
    const error = await errorOf(collect(sink.get('a', undefined, context)));
    expect(error).toMatchObject({ code: wanted, hint: expect.stringContaining(words) });
    await sink.close();
    await meddler.stop();
  });
});
