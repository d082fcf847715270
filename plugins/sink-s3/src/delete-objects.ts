import { DeleteObjectCommand, DeleteObjectsCommand } from '@aws-sdk/client-s3';
import type { DeleteObjectsCommandOutput } from '@aws-sdk/client-s3';
import { nameOf, statusOf, translate } from './errors.ts';
import { inLanes } from './lanes.ts';
import type { Store } from './store.ts';
import type { Version } from './versions.ts';

/** What one request takes. */
const mostInBatch = 1000;
const batchesAtOnce = 2;
const singlesAtOnce = 16;
const absent: ReadonlySet<string> = new Set(['NoSuchKey', 'NoSuchVersion', 'NotFound']);

/** What of some versions is not gone. */
export interface Left {
  /** The store does not remove them. */
  readonly refused: readonly Version[];
  /** Those that were named without a version, and lie behind a delete marker now. */
  readonly hidden: readonly Version[];
}

export type DeleteObjects = (versions: readonly Version[], signal: AbortSignal) => Promise<Left>;

/** In batches; one by one where the store does not take them: they must bear a checksum, which not all stores know. */
export function createDeleteObjects(store: Store): DeleteObjects {
  let oneByOne = false;

  return async (versions, signal) => {
    const refused: Version[] = [];
    const hidden: Version[] = [];
    const batches = Array.from({ length: Math.ceil(versions.length / mostInBatch) }, (_, index) =>
      versions.slice(index * mostInBatch, (index + 1) * mostInBatch),
    );
    await inLanes(batches, batchesAtOnce, async (batch) => {
      const answer = oneByOne ? undefined : await deleteBatch(store, batch, signal);
      if (answer !== undefined) {
        const find = finderIn(store, batch);
        refused.push(...refusedOf(answer, find));
        hidden.push(...hiddenOf(answer, find));
        return;
      }
      oneByOne = true;
      await inLanes(batch, singlesAtOnce, async (version) => {
        const outcome = await deleteOne(store, version, signal);
        if (outcome === 'refused') refused.push(version);
        if (outcome === 'hidden') hidden.push(version);
      });
    });
    return { refused, hidden };
  };
}

/** Undefined when the store does not take batches. */
async function deleteBatch(
  store: Store,
  batch: readonly Version[],
  abortSignal: AbortSignal,
): Promise<DeleteObjectsCommandOutput | undefined> {
  const objects = batch.map(({ key, id }) => ({
    Key: store.at(key).Key,
    ...(id === undefined ? {} : { VersionId: id }),
  }));
  const command = new DeleteObjectsCommand({
    Bucket: store.bucket,
    // Quiet about what is gone, which by version is sure.
    Delete: { Objects: objects, Quiet: batch.every(({ id }) => id !== undefined) },
  });
  try {
    return await store.client.send(command, { abortSignal });
  } catch (error) {
    const status = statusOf(error) ?? 0;
    const unknown =
      status === 501 || (status >= 400 && status < 500 && ![401, 403, 404, 408, 429].includes(status));
    // One that is asked for the wrong time of day, or with credentials that have run out, would refuse single requests too.
    if (!unknown || /^(Expired|RequestTime|InvalidToken)/.test(nameOf(error) ?? '')) throw error;
    return undefined;
  }
}

type Find = (key: string | undefined, id: string | undefined) => Version | undefined;

function finderIn(store: Store, batch: readonly Version[]): Find {
  const name = (key: string | undefined, id: string | undefined): string => `${id ?? ''} ${key}`;
  const byName = new Map(batch.map((version) => [name(store.at(version.key).Key, version.id), version]));
  return (key, id) => byName.get(name(key, id));
}

function refusedOf({ Errors = [] }: DeleteObjectsCommandOutput, find: Find): Version[] {
  return Errors.flatMap(({ Key, VersionId, Code = '', Message = Code }) => {
    if (absent.has(Code)) return [];
    const version = find(Key, VersionId === '' ? undefined : VersionId);
    if (version && isRefusal(Code, Message)) return [version];
    throw translate(Object.assign(new Error(Message), { Code }), `remove ${Key}`);
  });
}

function hiddenOf({ Deleted = [] }: DeleteObjectsCommandOutput, find: Find): Version[] {
  return Deleted.flatMap(({ Key, VersionId, DeleteMarker }) => {
    const version = DeleteMarker === true && !VersionId ? find(Key, undefined) : undefined;
    return version ?? [];
  });
}

async function deleteOne(
  store: Store,
  { key, id }: Version,
  abortSignal: AbortSignal,
): Promise<'gone' | 'hidden' | 'refused'> {
  const command = new DeleteObjectCommand({
    ...store.at(key),
    ...(id === undefined ? {} : { VersionId: id }),
  });
  try {
    const { DeleteMarker } = await store.client.send(command, { abortSignal });
    return id === undefined && DeleteMarker === true ? 'hidden' : 'gone';
  } catch (error) {
    const code = nameOf(error) ?? '';
    if (absent.has(code)) return 'gone';
    if (isRefusal(code, (error as Error).message)) return 'refused';
    throw error;
  }
}

/** Under a lock, or by a policy. MinIO tells a lock by its message alone. */
function isRefusal(code: string, message: string): boolean {
  return code === 'AccessDenied' || code === 'ObjectLocked' || /\bWORM\b/.test(message);
}
