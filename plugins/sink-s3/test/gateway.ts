import { join } from 'node:path';
import { CreateBucketCommand, PutBucketVersioningCommand, S3Client } from '@aws-sdk/client-s3';
import type { Sink } from '@pgsilo/plugin';
import { recordingLogger } from '@pgsilo/testkit';
import { installCeph, startCeph } from '@pgsilo/testkit/object-stores';
import type { CephAccess, CephOptions, InstalledCeph, ThrowawayCeph } from '@pgsilo/testkit/object-stores';
import type { z } from 'zod';
import plugin from '../src/index.ts';

export type Written = z.input<typeof plugin.options>;

const script = join(import.meta.dirname, '../../../test/services/install-ceph.sh');

/** Installs the gateway beside the system's packages where it is not there yet; a machine that this cannot be done on gives the reason. */
export function gatewayHere(version: 20 | 18 = 20): Promise<InstalledCeph> {
  return installCeph(script, version);
}

export interface Gateway extends ThrowawayCeph {
  /** To look at the store past the sink. No connection of its own stays open. */
  readonly client: S3Client;
  makeBucket(name: string, kind?: 'plain' | 'versioned' | 'locked'): Promise<void>;
}

export async function startGateway(
  installed: InstalledCeph,
  options: Omit<CephOptions, 'root'> = {},
): Promise<Gateway> {
  if (!('root' in installed)) throw new Error(installed.unavailable);
  const ceph = await startCeph({ ...options, root: installed.root });
  const client = clientFor(ceph);
  return {
    ...ceph,
    client,
    async makeBucket(Bucket, kind = 'plain') {
      await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: kind === 'locked' }));
      if (kind !== 'versioned') return;
      const VersioningConfiguration = { Status: 'Enabled' } as const;
      await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
    },
    async stop() {
      client.destroy();
      await ceph.stop();
    },
  };
}

function clientFor({ endpoint, region, accessKeyId, secretAccessKey }: CephAccess): S3Client {
  return new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestHandler: { httpAgent: { keepAlive: false } },
  });
}

/** Options that open a bucket of the gateway. */
export function optionsFor(
  { endpoint, accessKeyId, secretAccessKey }: CephAccess,
  more: Partial<Written> = {},
): Written {
  return { bucket: 'backups', endpoint, provider: 'ceph', accessKeyId, secretAccessKey, ...more };
}

export async function makeSink(options: Written, keptDays?: number): Promise<Sink> {
  const setup = {
    pipeline: 'test',
    folder: '/',
    log: recordingLogger(),
    ...(keptDays === undefined ? {} : { keptDays }),
  };
  return plugin.create(plugin.options.parse(options), setup);
}
