import { inspect } from 'node:util';
import {
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { isPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError, Sink } from '@pgsilo/plugin';
import { bodyOf, collect, recordingLogger, testContext } from '@pgsilo/testkit';
import { runCheck, sinkChecks } from '@pgsilo/testkit/conformance';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import plugin from '../src/index.ts';
import { account, key, startAzurite } from './azurite.ts';
import type { Azurite } from './azurite.ts';

type Written = z.input<typeof plugin.options>;

let server: Azurite;
const context = testContext();
beforeAll(async () => {
  server = await startAzurite();
  await server.service.createContainer('backups');
}, 60_000);
afterAll(async () => {
  await context.dispose();
  await server.stop();
}, 60_000);

const make = async (options: Written): Promise<Sink> =>
  plugin.create(plugin.options.parse(options), { pipeline: 'test', folder: '/', log: recordingLogger() });

async function errorOf(call: Promise<unknown>): Promise<PgsiloError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isPgsiloError(error)) throw new Error(`no error of pgsilo: ${inspect(error)}`);
  return error;
}

function sasFor(permissions: string): string {
  const credential = new StorageSharedKeyCredential(account, key);
  const expiresOn = new Date(Date.now() + 600_000);
  const allowed = ContainerSASPermissions.parse(permissions);
  return generateBlobSASQueryParameters(
    { containerName: 'backups', permissions: allowed, expiresOn },
    credential,
  ).toString();
}

describe('logging in', () => {
  it.each<[string, () => Written]>([
    ['a key', () => ({ container: 'backups', endpoint: server.endpoint, account, key })],
    ['a connection string', () => ({ container: 'backups', connectionString: server.connectionString })],
    ['a signature', () => ({ container: 'backups', endpoint: `${server.endpoint}/`, sas: sasFor('racwdl') })],
    [
      'a connection string with a signature',
      () => ({
        container: 'backups',
        connectionString: `BlobEndpoint=${server.endpoint};SharedAccessSignature=${sasFor('racwdl')}`,
      }),
    ],
  ])('takes %s, and shows nothing of it', async (_, optionsOf) => {
    const options = optionsOf();
    const sas = new URLSearchParams(/sv=.*/.exec(options.sas ?? options.connectionString ?? '')?.[0]);
    const secrets = [
      key,
      encodeURIComponent(key),
      ...(sas.has('sig') ? [sas.get('sig')!, encodeURIComponent(sas.get('sig')!)] : []),
    ];
    for (const check of sinkChecks.filter(({ name }) =>
      ['read after write', 'check leaves nothing', 'secrets do not print'].includes(name),
    )) {
      const outcome = await runCheck(
        check,
        async () => ({ sink: await make(options), traits: plugin.traits, secrets }),
        context,
      );
      expect(outcome).toMatchObject({ status: 'passed' });
    }
  });

  it('says what a signature lacks, and leaves nothing of a check', async () => {
    const sink = await make({ container: 'backups', endpoint: server.endpoint, sas: sasFor('rl') });
    const results = await Array.fromAsync(sink.check(context));
    expect(results).toMatchObject([{ status: 'failed', message: expect.stringContaining('cannot store') }]);
    const error = await errorOf(sink.put('denied', bodyOf('x'), { kind: 'note' }, context));
    expect(error.code).toBe('sink.denied');
    await sink.close();
  });

  it.each<[words: string, option: string | undefined, Partial<Written>]>([
    ['which account', undefined, {}],
    ['a key needs the name', 'key', { endpoint: 'https://blobs.internal', key: 'a2V5' }],
    ['both a key and', 'sas', { account, key: 'a2V5', sas: 'sv=1' }],
    [
      'connectionString and account',
      'account',
      { account, connectionString: 'AccountName=a;AccountKey=a2V5' },
    ],
    ['names no account', 'connectionString', { connectionString: 'nonsense' }],
    ['without TLS', 'endpoint', { endpoint: 'http://127.0.0.1:1/x' }],
  ])('refuses options that contradict each other: %s', async (words, option, options) => {
    const error = await errorOf(make({ container: 'backups', ...options }));
    expect(error).toMatchObject({ code: 'config.invalid', option, message: expect.stringContaining(words) });
  });

  it('uses the identity of the machine when there is nothing else', async () => {
    const sink = await make({ container: 'backups', account });
    await expect(sink.close()).resolves.toBeUndefined();
  });
});

describe('errors', () => {
  const all = (sink: Sink) => [
    sink.stat('a', context),
    collect(sink.get('a', undefined, context)),
    Array.fromAsync(sink.list('', context)),
    sink.put('a', bodyOf('x'), { kind: 'note' }, context),
    sink.remove(['a'], context),
  ];

  it.each<[string, string, () => Written]>([
    [
      'a container that is not there',
      'sink.missing',
      () => ({ container: 'missing', endpoint: server.endpoint, account, key }),
    ],
    [
      'a wrong key',
      'sink.denied',
      () => ({
        container: 'backups',
        endpoint: server.endpoint,
        account,
        key: Buffer.alloc(64).toString('base64'),
      }),
    ],
    [
      'a server that is not there',
      'sink.unreachable',
      () => ({ container: 'backups', endpoint: 'http://127.0.0.1:9/x', account, key }),
    ],
  ])(
    'of %s',
    async (_, code, options) => {
      const sink = await make(options());
      const errors = await Promise.all(all(sink).map(errorOf));
      expect(errors.map((error) => error.code)).toEqual(errors.map(() => code));
      for (const { hint, message } of errors) {
        expect(hint).toMatch(/./);
        expect(message).not.toMatch(/\n|RequestId/);
      }
      await sink.close();
    },
    40_000,
  );
});
