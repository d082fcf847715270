import { bodyOf, recordingLogger, testContext } from '@pgsilo/testkit';
import type { Sink } from '@pgsilo/plugin';
import { HeadObjectCommand, GetObjectTaggingCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import plugin from '../src/index.ts';
import { presets, providers } from '../src/presets.ts';
import { nearestClass } from '../src/storage-classes.ts';
import { openStore } from '../src/store.ts';
import { errorOf } from './errors-of.ts';
import { gatewayHere, makeSink, optionsFor, startGateway } from './gateway.ts';
import type { Gateway, Written } from './gateway.ts';

const bucket = 'backups';
const at = { bucket, region: 'eu-central-1' };
const keys = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret-of-the-key' };
const context = testContext();
afterAll(() => context.dispose());

describe('options that contradict each other are refused', () => {
  it.each<[words: string, option: string, Partial<Written>]>([
    ['without its secret', 'accessKeyId', { accessKeyId: 'a' }],
    ['needs the access key', 'secretAccessKey', { secretAccessKey: 'abcd' }],
    ['needs the access key', 'sessionToken', { sessionToken: 'abcd' }],
    ['both a profile', 'profile', { ...keys, profile: 'backup' }],
    ['no encryption that uses it', 'kmsKey', { kmsKey: 'alias/backups' }],
    ['no storage class STANDARD_AI', 'storageClass', { storageClass: 'STANDARD_AI' }],
    ['no storage class COLD', 'storageClass', { storageClass: 'COLD' }],
    ['up to 12 hours', 'storageClass', { storageClass: 'GLACIER' }],
    ['up to 48 hours', 'storageClass', { storageClass: 'DEEP_ARCHIVE' }],
    ['how long', 'objectLock.mode', { objectLock: { mode: 'COMPLIANCE' } }],
    ['its own lock', 'objectLock.days', { objectLock: { mode: 'bucket', days: 3 } }],
  ])('%s (%s)', async (words, option, options) => {
    const error = await errorOf(makeSink({ ...at, ...options }));
    expect(error).toMatchObject({ code: 'config.invalid', option, message: expect.stringContaining(words) });
    expect(error.hint).toMatch(/./);
  });

  it.each([{ storageClass: 'GLACIER', allowColdRestore: true }, { storageClass: 'GLACIER_IR' }])(
    'not a cold class that is allowed, nor one that is read at once: %j',
    async (options) => {
      const sink = await makeSink({ ...at, ...keys, ...options });
      await expect(sink.close()).resolves.toBeUndefined();
    },
  );
});

describe('a storage class with a slip', () => {
  it.each([
    ['STANDARD_AI', 'STANDARD_IA'],
    ['STANDART', 'STANDARD'],
    ['GLACIER_RI', 'GLACIER_IR'],
    ['DEEPARCHIVE', 'DEEP_ARCHIVE'],
    ['INTELIGENT_TIERING', 'INTELLIGENT_TIERING'],
    ['COLD', undefined],
  ])('%s is nearest to %s', (storageClass, near) => {
    expect(nearestClass(storageClass)).toBe(near);
  });

  it('is refused with the nearest one, where Amazon is meant', async () => {
    const error = await errorOf(makeSink({ ...at, ...keys, storageClass: 'STANDARD_AI' }));
    expect(error.hint).toBe('Did you mean STANDARD_IA?');
  });
});

describe('a prefix', () => {
  const accepts = (prefix: string): boolean => plugin.options.safeParse({ bucket, prefix }).success;

  it.each(['', 'nightly', 'nightly/eu', 'nightly/eu/', '.hidden/a=b'])('may be "%s"', (prefix) => {
    expect(accepts(prefix)).toBe(true);
  });

  it.each(['/a', 'a//b', '../a', 'a/..', 'a./b', 'a b', `${'a'.repeat(399)} `, 'a'.repeat(401)])(
    'may not be "%s", which is told at once',
    (prefix) => {
      expect(accepts(prefix)).toBe(false);
    },
  );
});

describe('what is allowed and probably not meant is a warning', () => {
  async function warnings(
    options: Partial<Written>,
    keptDays: number | undefined,
  ): Promise<readonly unknown[]> {
    const log = recordingLogger();
    const setup = { pipeline: 'test', folder: '/', log, ...(keptDays === undefined ? {} : { keptDays }) };
    const sink: Sink = await plugin.create(plugin.options.parse({ ...at, ...keys, ...options }), setup);
    await sink.close();
    return log.entries.map(
      ({ level, message, fields }) => `${level} ${String(fields['option'])}: ${message}`,
    );
  }

  it('when retention is shorter than what a storage class is paid for at least', async () => {
    const ia = { storageClass: 'STANDARD_IA' };
    expect(await warnings(ia, 14)).toEqual([
      expect.stringMatching(/^warn storageClass: .*14 days.*STANDARD_IA.* 30 /),
    ]);
    expect(await warnings(ia, 30)).toEqual([]);
    expect(await warnings(ia, undefined)).toEqual([]);
    expect(await warnings({ storageClass: 'STANDARD' }, 1)).toEqual([]);
    // Another store's classes are its own matter.
    expect(await warnings({ ...ia, endpoint: 'https://s3.example.org' }, 14)).toEqual([]);
  });

  it('when a lock ends before the backup that it protects', async () => {
    const lock = { objectLock: { mode: 'COMPLIANCE', days: 7 } } as const;
    expect(await warnings(lock, 30)).toEqual([expect.stringMatching(/^warn objectLock.days: .*7 days.* 30/)]);
    expect(await warnings(lock, 7)).toEqual([]);
  });
});

describe('presets', () => {
  const store = async (options: Partial<Written>) => {
    const opened = openStore(plugin.options.parse({ bucket, ...keys, ...options }));
    const { requestChecksumCalculation: requests, forcePathStyle, region } = opened.client.config;
    opened.close();
    return {
      ...opened.parts,
      requests: await requests(),
      forcePathStyle,
      region: await region(),
      checksum: opened.checksum,
    };
  };

  it('a custom endpoint gets checksums only where they are demanded, the path style, and a region', async () => {
    const clone = {
      requests: 'WHEN_REQUIRED',
      forcePathStyle: true,
      region: 'us-east-1',
      checksum: undefined,
    };
    expect(await store({ endpoint: 'https://s3.example.org' })).toMatchObject(clone);
    const aws = {
      requests: 'WHEN_SUPPORTED',
      forcePathStyle: false,
      region: 'eu-central-1',
      checksum: 'CRC32',
      maxParts: 10_000,
    };
    expect(await store({ region: 'eu-central-1' })).toMatchObject(aws);
  });

  it('a locked put carries a checksum whatever the preset says', async () => {
    const objectLock = { mode: 'bucket' } as const;
    expect(await store({ endpoint: 'https://s3.example.org', objectLock })).toMatchObject({
      checksum: 'CRC32',
    });
  });

  it('can be overridden one by one', async () => {
    const own = { provider: 'scaleway', checksums: 'always', maxParts: 500, pathStyle: false } as const;
    expect(await store({ endpoint: 'https://s3.example.org', provider: 'scaleway' })).toMatchObject({
      maxParts: 1000,
    });
    expect(await store({ endpoint: 'https://s3.example.org', ...own })).toMatchObject({
      maxParts: 500,
      forcePathStyle: false,
      requests: 'WHEN_SUPPORTED',
    });
    expect(await store({ endpoint: 'https://s3.example.org', provider: 'r2' })).toMatchObject({
      equalParts: true,
    });
  });

  it('there is one for each provider', () => {
    expect(Object.keys(presets).sort()).toEqual([...providers].sort());
  });
});

const installed = await gatewayHere();
describe.skipIf('unavailable' in installed)('on the gateway', () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await startGateway(installed);
    await gateway.makeBucket(bucket);
  }, 120_000);
  afterAll(() => gateway.stop(), 60_000);

  it('artifacts get class, tags and encryption at their creation, manifests are STANDARD always', async () => {
    const tags = { purpose: 'backup & restore', 'cost-centre': '12' };
    const settings = {
      storageClass: 'STANDARD_IA',
      tags,
      encryption: 'aws:kms',
      kmsKey: 'testkey-1',
      partSize: '5MiB',
    } as const;
    const sink = await makeSink(optionsFor(gateway, settings));
    const large = Buffer.alloc(6 * 2 ** 20);
    const objects = [
      ['large', 'artifact', large, 'STANDARD_IA'],
      ['small', 'artifact', Buffer.from('x'), 'STANDARD_IA'],
      ['manifest.json', 'manifest', Buffer.from('{}'), undefined],
      ['run.json', 'run', Buffer.from('{}'), undefined],
      ['segment', 'wal', Buffer.from('x'), undefined],
    ] as const;
    for (const [key, kind, content, wanted] of objects) {
      await sink.put(key, bodyOf(content), { kind }, context);
      const head = await gateway.client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      const of = `${key} of kind ${kind}`;
      expect([of, head.StorageClass === 'STANDARD' ? undefined : head.StorageClass]).toEqual([of, wanted]);
      expect(head.ServerSideEncryption).toBe('aws:kms');
      const { TagSet = [] } = await gateway.client.send(
        new GetObjectTaggingCommand({ Bucket: bucket, Key: key }),
      );
      expect(Object.fromEntries(TagSet.map(({ Key, Value }) => [Key, Value]))).toEqual(tags);
    }
    await sink.remove(
      objects.map(([key]) => key),
      context,
    );
    await sink.close();
  });
});
