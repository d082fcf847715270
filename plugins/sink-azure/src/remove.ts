import { RestError } from '@azure/storage-blob';
import type { BlobClient } from '@azure/storage-blob';
import type { Context, RetainedObject } from '@pgsilo/plugin';
import { attempt, serviceCode, statusOf } from './errors.ts';
import type { Store } from './store.ts';

/** One request for each key: a batch's answer is many small ones that the SDK neither repeats nor turns into errors. */
const atOnce = 16;

export type Remove = (keys: readonly string[], context: Context) => Promise<readonly RetainedObject[]>;

/** Removes objects for good, with the versions that the account keeps of them. */
export function createRemove(store: Store): Remove {
  /** Undefined until an object was removed: the service tells nobody else. */
  let keepsVersions: boolean | undefined;

  async function removeOne(key: string, context: Context): Promise<RetainedObject | undefined> {
    const blob = store.blob(key);
    const found = await removeCurrent(blob, key, context.signal);
    if (typeof found === 'object') return found;
    if (keepsVersions === false) return undefined;
    const versions = await versionsOf(store, blob.name, context.signal);
    if (found === 'removed') keepsVersions = versions.length > 0;
    for (const version of versions)
      if (!(await removeVersion(blob.withVersion(version), context.signal))) return { key };
    return undefined;
  }

  return async (keys, context) => {
    const retained: RetainedObject[] = [];
    const rest = keys.values();
    const lane = async (): Promise<void> => {
      for (const key of rest) {
        const kept = await attempt(`remove ${key}`, context, () => removeOne(key, context));
        if (kept) retained.push(kept);
      }
    };
    // All lanes end before the first failure is told.
    const ends = await Promise.allSettled(Array.from({ length: Math.min(atOnce, keys.length) }, lane));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    return retained;
  };
}

async function removeCurrent(
  blob: BlobClient,
  key: string,
  abortSignal: AbortSignal,
): Promise<'removed' | 'absent' | RetainedObject> {
  try {
    await blob.delete({ abortSignal, deleteSnapshots: 'include' });
    return 'removed';
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    const code = serviceCode(error);
    if (code === 'BlobNotFound') return 'absent';
    // A policy or a legal hold.
    if (code !== 'BlobImmutableDueToPolicy') throw error;
    const { immutabilityPolicyExpiresOn: until, legalHold } = await blob.getProperties({ abortSignal });
    return until && !legalHold ? { key, until } : { key };
  }
}

/** What the removal of an object left: the service makes an earlier version of it. */
async function versionsOf(
  { container }: Store,
  name: string,
  abortSignal: AbortSignal,
): Promise<readonly string[]> {
  const found: string[] = [];
  const listed = container.listBlobsFlat({ prefix: name, includeVersions: true, abortSignal });
  for await (const { name: other, versionId, isCurrentVersion } of listed) {
    // In the order of their names, so that what begins with this one comes after it.
    if (other !== name) break;
    if (versionId !== undefined && isCurrentVersion !== true) found.push(versionId);
  }
  return found;
}

/** False when it is protected: by a policy, or because the credentials may not remove versions, which is how an owner keeps them from everybody. */
async function removeVersion(version: BlobClient, abortSignal: AbortSignal): Promise<boolean> {
  try {
    await version.delete({ abortSignal });
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    const code = serviceCode(error);
    if (code === 'BlobNotFound') return true;
    if (code !== 'BlobImmutableDueToPolicy' && statusOf(error) !== 403) throw error;
    return false;
  }
  return true;
}
