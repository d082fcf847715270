import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { Context } from '@pgsilo/plugin';
import { attempt, nameOf } from './errors.ts';
import type { Store } from './store.ts';

/** An upload whose parts lie there, seen by nobody. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly id: string;
  readonly begun: Date;
}

export async function* unfinishedUploads(
  store: Store,
  prefix: string,
  context: Pick<Context, 'signal'>,
): AsyncGenerator<UnfinishedUpload> {
  let after: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const command = new ListMultipartUploadsCommand({
      Bucket: store.bucket,
      Prefix: store.prefix + prefix,
      ...after,
    });
    const page = await attempt('list unfinished uploads', context, () =>
      store.client.send(command, { abortSignal: context.signal }),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? [])
      // Not all stores look at the prefix, and one that does not tell the time may be going on.
      if (Key?.startsWith(store.prefix + prefix) && UploadId !== undefined && Initiated !== undefined)
        yield { key: Key.slice(store.prefix.length), id: UploadId, begun: Initiated };
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
    after = {
      KeyMarker: page.NextKeyMarker,
      ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
    };
  }
}

/** Ends uploads that were begun before a moment; whoever began them has gone. */
export async function sweep(store: Store, prefix: string, before: Date, context: Context): Promise<number> {
  let ended = 0;
  for await (const { key, id, begun } of unfinishedUploads(store, prefix, context)) {
    if (begun >= before) continue;
    const command = new AbortMultipartUploadCommand({ ...store.at(key), UploadId: id });
    ended += await attempt(`end the upload of ${key}`, context, async () => {
      try {
        await store.client.send(command, { abortSignal: context.signal });
        return 1;
      } catch (error) {
        if (nameOf(error) === 'NoSuchUpload') return 0;
        throw error;
      }
    });
  }
  return ended;
}
