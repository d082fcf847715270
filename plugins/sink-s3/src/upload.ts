import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { CompletedPart } from '@aws-sdk/client-s3';
import { PgsiloError, takeIn, throwIfAborted } from '@pgsilo/plugin';
import type { Body, Context, PutHint, StoredObject } from '@pgsilo/plugin';
import { createOnce } from './create-once.ts';
import { cutParts } from './cut-parts.ts';
import type { HeldPart, Part } from './cut-parts.ts';
import { Multipart } from './multipart.ts';
import { settingsOf } from './object-settings.ts';
import type { PartPlan } from './part-plan.ts';
import type { Store } from './store.ts';

/**
 * Stores a body as a new object. What fits into one part in memory is one request; the rest is sent part by part and becomes an object by one last request, so that nobody sees less.
 * What was sent for nothing is given up.
 */
export async function upload(
  store: Store,
  key: string,
  body: Body,
  hint: PutHint,
  plan: PartPlan,
  context: Context,
): Promise<StoredObject> {
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const taken = takeIn(body, signal);
  const writer = randomBytes(12).toString('hex');
  const settings = settingsOf(store, writer, hint, context);
  const doing = `store ${key}`;
  const newFile = async (bytes: number): Promise<string> =>
    join(await context.scratch(bytes), `s3-part-${randomBytes(8).toString('hex')}`);
  const parts = cutParts(taken.body, plan, newFile);
  const multipart = new Multipart(store, key, plan, signal, stop);
  let latest: Part | undefined;
  let completing = false;
  try {
    let begun = false;
    for await (const { part, last } of parts) {
      latest = part;
      if (!begun && last && 'bytes' in part) return await putWhole(part);
      if (!begun) {
        await refuseEarly(store, key, context);
        await multipart.begin(settings);
      }
      begun = true;
      await multipart.send(part);
    }
    const sent = await multipart.finish();
    const object = { key, writer, bytes: taken.bytes, checksum: compositeOf(sent) };
    // Not all stores look at the condition when an upload is completed.
    await refuseEarly(store, key, context);
    completing = true;
    const { VersionId } = await createOnce(store, object, doing, context, (abortSignal) =>
      multipart.complete(sent, abortSignal),
    );
    return stored(taken.bytes, VersionId);
  } catch (error) {
    stop.abort(error);
    await multipart.settle();
    await parts.return(undefined);
    if (latest && 'file' in latest) await latest.drop();
    // What an abort leaves of its 5 s.
    await multipart.abandon(completing && context.signal.aborted ? 1_000 : 3_000);
    taken.rethrow();
    throw error;
  }

  async function putWhole({ bytes, size }: HeldPart): Promise<StoredObject> {
    const object = { key, writer, bytes: size, checksum: base64Of(crc32(bytes)) };
    const input = { ...store.at(key), ...settings, Body: bytes, IfNoneMatch: '*' };
    const { VersionId } = await createOnce(store, object, doing, context, (abortSignal) =>
      store.client.send(new PutObjectCommand(input), { abortSignal }),
    );
    return stored(size, VersionId);
  }
}

/** Nobody should send gigabytes only to hear that the object is there. Where the credentials may not look, the last request tells. */
async function refuseEarly(store: Store, key: string, { signal }: Context): Promise<void> {
  const command = new HeadObjectCommand(store.at(key));
  const found = await store.client.send(command, { abortSignal: signal }).then(
    () => true,
    () => false,
  );
  throwIfAborted(signal);
  if (!found) return;
  throw new PgsiloError('sink.exists', `cannot store ${key}: there is an object of that key already`, {
    hint: 'Objects are never overwritten.',
  });
}

/** The checksum that a store tells of an object of parts: that of the parts' checksums. */
function compositeOf(parts: readonly CompletedPart[]): string | undefined {
  const sums = parts.flatMap(({ ChecksumCRC32 }) => ChecksumCRC32 ?? []);
  if (sums.length < parts.length) return undefined;
  const all = Buffer.concat(sums.map((sum) => Buffer.from(sum, 'base64')));
  return `${base64Of(crc32(all))}-${parts.length}`;
}

function base64Of(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

function stored(bytes: number, version: string | undefined): StoredObject {
  return version === undefined || version === 'null' ? { bytes } : { bytes, version };
}
