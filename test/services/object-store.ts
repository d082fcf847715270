import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { installCeph, startCeph } from '@pgsilo/testkit/object-stores';
import type { InstalledCeph, ThrowawayCeph } from '@pgsilo/testkit/object-stores';

/** A real S3 server for tests that run the command. */
export interface ObjectStore extends ThrowawayCeph {
  /** To look at the store past pgsilo. */
  readonly client: S3Client;
  /** YAML of a sink in a pipeline file: the bucket `backups`, and `more` options. The secret comes from S3_SECRET. */
  sink(more?: string, endpoint?: string): string;
  readonly env: Readonly<Record<string, string>>;
}

const script = join(import.meta.dirname, 'install-ceph.sh');

/** Installs it beside the system's packages, about a minute the first time; a machine that this cannot be done on gives the reason. */
export function objectStoreHere(): Promise<InstalledCeph> {
  return installCeph(script);
}

/** Starts it, with an empty bucket `backups`. */
export async function startObjectStore(installed: InstalledCeph): Promise<ObjectStore> {
  if (!('root' in installed)) throw new Error(installed.unavailable);
  const ceph = await startCeph({ root: installed.root });
  const { endpoint, region, accessKeyId, secretAccessKey } = ceph;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestHandler: { httpAgent: { keepAlive: false } },
  });
  await client.send(new CreateBucketCommand({ Bucket: 'backups' }));
  const login = `accessKeyId: ${accessKeyId}, secretAccessKey: "\${env:S3_SECRET}"`;
  return {
    ...ceph,
    client,
    sink: (more = '', at = endpoint) =>
      `  - { use: s3, bucket: backups, endpoint: "${at}", provider: ceph, ${login}${more} }`,
    env: { S3_SECRET: secretAccessKey },
    async stop() {
      client.destroy();
      await ceph.stop();
    },
  };
}
