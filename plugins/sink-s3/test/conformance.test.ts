import { describeSink } from '@pgsilo/testkit/vitest';
import { afterAll, beforeAll, describe } from 'vitest';
import plugin from '../src/index.ts';
import { gatewayHere, makeSink, optionsFor, startGateway } from './gateway.ts';
import type { Gateway, Written } from './gateway.ts';

const installed = await gatewayHere();

describe.skipIf('unavailable' in installed)("Ceph's gateway", () => {
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await startGateway(installed);
    await gateway.makeBucket('backups');
    await gateway.makeBucket('versioned', 'versioned');
    await gateway.makeBucket('locked', 'locked');
  }, 120_000);
  afterAll(() => gateway.stop(), 60_000);

  const cases: readonly (readonly [name: string, options: Partial<Written>])[] = [
    ['s3', { prefix: 'some/where' }],
    ['s3 with versions', { bucket: 'versioned' }],
    [
      's3 with all that an object can be given, in a bucket with object lock',
      {
        bucket: 'locked',
        checksums: 'always',
        encryption: 'aws:kms',
        kmsKey: 'testkey-1',
        storageClass: 'STANDARD_IA',
        tags: { purpose: 'backup & restore' },
      },
    ],
  ];

  for (const [name, options] of cases)
    describeSink(name, async () => ({
      sink: await makeSink(optionsFor(gateway, { partSize: '5MiB', ...options })),
      traits: plugin.traits,
      secrets: [gateway.secretAccessKey],
      keysPerPage: 1000,
    }));
});
