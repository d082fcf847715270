import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import type { Context, PutHint } from '@pgsilo/plugin';
import type { Store } from './store.ts';

/** Metadata that names the writer of an object. */
const writerMark = 'pgsilo-writer';
const day = 86_400_000;

type Settings = Pick<
  PutObjectCommandInput,
  | 'Metadata'
  | 'StorageClass'
  | 'Tagging'
  | 'ServerSideEncryption'
  | 'SSEKMSKeyId'
  | 'ObjectLockMode'
  | 'ObjectLockRetainUntilDate'
  | 'ChecksumAlgorithm'
>;

/** What an object is given at its creation: tags that came later would be missed by whoever reads them at once. */
export function settingsOf(store: Store, writer: string, hint: PutHint, context: Context): Settings {
  const { storageClass, tags, encryption, kmsKey, objectLock } = store.options;
  const settings: Settings = { Metadata: { [writerMark]: writer } };
  // Small and read often: an archive class would cost more, and a list of backups would wait for hours.
  if (hint.kind === 'artifact' && storageClass !== 'STANDARD')
    settings.StorageClass = storageClass as NonNullable<Settings['StorageClass']>;
  // Not with `+` for a space, which some stores take as it is.
  const tagging = Object.entries(tags)
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .join('&');
  if (tagging !== '') settings.Tagging = tagging;
  if (encryption !== 'bucket') settings.ServerSideEncryption = encryption;
  if (kmsKey !== undefined) settings.SSEKMSKeyId = kmsKey;
  if (objectLock !== undefined && objectLock.mode !== 'bucket' && objectLock.days !== undefined) {
    settings.ObjectLockMode = objectLock.mode;
    settings.ObjectLockRetainUntilDate = new Date(context.clock.now().getTime() + objectLock.days * day);
  }
  if (store.checksum) settings.ChecksumAlgorithm = store.checksum;
  return settings;
}

/** Undefined where the store keeps no metadata. */
export function writerOf(metadata: Readonly<Record<string, string>> | undefined): string | undefined {
  return metadata?.[writerMark];
}
