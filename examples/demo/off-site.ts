import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { findCeph, startCeph } from '@pgsilo/testkit/object-stores';

/** A bucket elsewhere, as far as one machine can show that, and a pipeline file for it. */
export interface OffSite {
  readonly file: string;
  readonly text: string;
  /** Variables that the pipeline file takes its secrets from. */
  readonly secret: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const script = join(import.meta.dirname, '..', '..', 'test', 'services', 'install-ceph.sh');
const bucket = 'vigia-off-site';

/** Starts an S3 server where `npm test` has installed one; undefined elsewhere. */
export async function offSite(folder: string): Promise<OffSite | undefined> {
  const installed = await findCeph(script);
  if ('unavailable' in installed) return undefined;
  const store = await startCeph(installed);
  const { endpoint, region, accessKeyId, secretAccessKey } = store;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    await store.stop();
    throw error;
  } finally {
    client.destroy();
  }
  const text = `\
extends: ./vigia.yaml
transforms:
  - use: zstd
  - { use: gpg, passphrase: "\${env:BACKUP_PASSPHRASE}" }   # or public keys, or a key for each tenant
sinks:
  - { use: s3, endpoint: "${endpoint}", bucket: ${bucket} }
`;
  writeFileSync(join(folder, 'off-site.yaml'), text);
  const secret = {
    BACKUP_PASSPHRASE: randomBytes(18).toString('base64url'),
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  };
  return { file: 'off-site.yaml', text, secret, stop: () => store.stop() };
}
