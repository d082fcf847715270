import { GetBucketVersioningCommand, HeadObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import type { RetainedObject } from '@pgsilo/plugin';
import { statusOf } from './errors.ts';
import type { Store } from './store.ts';

/** One version of an object. */
export interface Version {
  readonly key: string;
  /** Undefined: the current object, by its name alone. */
  readonly id?: string | undefined;
  /** A delete marker, which hides the versions before it. */
  readonly marker?: boolean;
}

/** A version as the store lists it. */
export interface ListedVersion extends Version {
  readonly marker: boolean;
  readonly latest: boolean;
  readonly modified: Date;
}

/** Whether the bucket keeps, or has kept, versions. Where the credentials may not ask, it may. */
export async function keepsVersions({ client, bucket }: Store, abortSignal: AbortSignal): Promise<boolean> {
  try {
    const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket: bucket }), { abortSignal });
    return Status !== undefined;
  } catch (error) {
    const status = statusOf(error);
    // A store that does not know the question keeps none.
    if (status === 403) return true;
    if (status === 501 || status === 405 || status === 400) return false;
    throw error;
  }
}

/** All versions of one object, the newest first, and then the markers. */
export async function versionsOf(
  store: Store,
  key: string,
  abortSignal: AbortSignal,
): Promise<ListedVersion[]> {
  const { Bucket, Key } = store.at(key);
  const found: ListedVersion[] = [];
  let after: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (;;) {
    const command = new ListObjectVersionsCommand({ Bucket, Prefix: Key, ...after });
    const page = await store.client.send(command, { abortSignal });
    const { Versions = [], DeleteMarkers = [], IsTruncated, NextKeyMarker, NextVersionIdMarker } = page;
    for (const [listed, marker] of [
      [Versions, false],
      [DeleteMarkers, true],
    ] as const)
      for (const { Key: other, VersionId: id, IsLatest, LastModified: modified = new Date(0) } of listed)
        if (other === Key) found.push({ key, id, marker, latest: IsLatest === true, modified });
    // In the order of their names, so that what only begins with this one comes after it.
    if (IsTruncated !== true || NextKeyMarker !== Key) return found;
    after = {
      KeyMarker: NextKeyMarker,
      ...(NextVersionIdMarker === undefined ? {} : { VersionIdMarker: NextVersionIdMarker }),
    };
  }
}

/** Undefined when no lock holds the version, as far as one may look. A lock of our own that is not shown is there all the same. */
export async function lockOf(
  store: Store,
  { key, id }: Version,
  now: Date,
  abortSignal: AbortSignal,
): Promise<RetainedObject | undefined> {
  const command = new HeadObjectCommand({ ...store.at(key), ...(id === undefined ? {} : { VersionId: id }) });
  try {
    const found = await store.client.send(command, { abortSignal });
    if (found.ObjectLockLegalHoldStatus === 'ON') return { key };
    const until = found.ObjectLockRetainUntilDate;
    if (until === undefined) return store.options.objectLock === undefined ? undefined : { key };
    return until > now ? { key, until } : undefined;
  } catch (error) {
    if ([403, 404, 405].includes(statusOf(error) ?? 0)) return undefined;
    throw error;
  }
}
