import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { CheckResult, Context } from '@pgsilo/plugin';
import { attempt, statusOf } from './errors.ts';
import { settingsOf } from './object-settings.ts';
import type { Store } from './store.ts';

/** Whether the store refuses to complete an upload over an object that is there. The upload holds the same bytes, so that no harm is done where it does not. */
export async function refusesCompletion(
  store: Store,
  key: string,
  content: Uint8Array,
  context: Context,
): Promise<CheckResult> {
  const { client } = store;
  const at = store.at(key);
  const name = 'create-only';
  const abortSignal = context.signal;
  return attempt('try out an upload in parts', context, async () => {
    const checksum = store.checksum ? { ChecksumAlgorithm: store.checksum } : {};
    // As all uploads are, for policies that demand it; but for the lock, under which it would stay where it is not refused.
    const settings = { ...settingsOf(store, 'pgsilo-check', { kind: 'note' }, context) };
    delete settings.ObjectLockMode;
    delete settings.ObjectLockRetainUntilDate;
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...at, ...settings }), {
      abortSignal,
    });
    try {
      const part = await client.send(
        new UploadPartCommand({ ...at, ...checksum, UploadId, PartNumber: 1, Body: content }),
        { abortSignal },
      );
      const { ETag, ChecksumCRC32 } = part;
      const Parts = [{ PartNumber: 1, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) }];
      const completion = { ...at, UploadId, MultipartUpload: { Parts }, IfNoneMatch: '*' };
      await client.send(new CompleteMultipartUploadCommand(completion), { abortSignal });
    } catch (error) {
      await client
        .send(new AbortMultipartUploadCommand({ ...at, UploadId }), { abortSignal })
        .catch(() => {});
      const status = statusOf(error);
      if (status !== 412 && status !== 409) throw error;
      return {
        name,
        status: 'ok',
        message: 'objects of one request and of many parts are never overwritten',
      };
    }
    return {
      name,
      status: 'warning',
      message:
        'the store ignores If-None-Match when an upload in parts is completed; pgsilo looks before, but two writers at once could overwrite each other',
      hint: 'Let one pgsilo at a time write to this prefix, turn on versions for the bucket, or use a later release of the store.',
    };
  });
}
