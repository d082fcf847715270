import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { isPgsiloError, PgsiloError } from '@pgsilo/plugin';
import type { Body, ByteRange, Context, ObjectInfo } from '@pgsilo/plugin';
import { attempt, statusOf, translate } from './errors.ts';
import type { Store } from './store.ts';

/** Of one read, with little between them. */
const resumptions = 3;
/** Bytes. A connection that brought so many was of use: some proxies end each after a while, however much is left. */
const progress = 1024 * 1024;
/** A page is held in memory. */
const keysPerPage = 1000;

/** A connection that breaks is taken up again where it was, as long as the object is the same one. */
export async function* read(store: Store, key: string, range: ByteRange | undefined, context: Context): Body {
  const doing = `read ${key}`;
  const from = range?.offset ?? 0;
  let answer = await fetchFrom(
    store,
    key,
    doing,
    range && { from, to: from + range.length - 1 },
    undefined,
    context,
  );
  const wanted = range?.length ?? answer.ContentLength ?? 0;
  const etag = answer.ETag;
  let bytes = 0;
  let fruitless = 0;
  for (;;) {
    const before = bytes;
    const stream = answer.Body as Readable;
    // Destroying it may make it complain once more, to nobody.
    stream.on('error', () => {});
    const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    try {
      for (;;) {
        const next = await attempt(doing, context, () => orSilence(chunks.next(), store.silence));
        if (next.done) break;
        bytes += next.value.length;
        yield next.value;
      }
      if (bytes !== wanted) throw tooShort(key, bytes, wanted);
      return;
    } catch (error) {
      const broken = isPgsiloError(error) && error.code === 'sink.unreachable';
      fruitless = bytes - before < progress ? fruitless + 1 : 0;
      if (!broken || fruitless > resumptions || bytes >= wanted || etag === undefined) throw error;
      context.log.debug('a read broke off and is taken up again', { key, bytes, reason: error.message });
    } finally {
      stream.destroy();
    }
    await context.clock.sleep(200 * (fruitless + 1), context.signal);
    const rest = { from: from + bytes, to: from + wanted - 1 };
    answer = await fetchFrom(store, key, doing, rest, etag, context);
  }
}

/** First and last byte. */
interface Span {
  readonly from: number;
  readonly to: number;
}

async function fetchFrom(
  store: Store,
  key: string,
  doing: string,
  span: Span | undefined,
  etag: string | undefined,
  context: Context,
): Promise<GetObjectCommandOutput> {
  const command = new GetObjectCommand({
    ...store.at(key),
    ...(span ? { Range: `bytes=${span.from}-${span.to}` } : {}),
    ...(etag === undefined ? {} : { IfMatch: etag }),
  });
  const stop = new AbortController();
  const abortSignal = AbortSignal.any([context.signal, stop.signal]);
  try {
    return await attempt(doing, context, async () => {
      const answer = orSilence(store.reader.send(command, { abortSignal }), store.silence);
      return await answer.catch((error: unknown) => {
        throw statusOf(error) === 412 ? replaced(key, translate(error, doing).cause) : error;
      });
    });
  } catch (error) {
    stop.abort();
    throw error;
  }
}

/** A reader that pauses is no silence: only while it waits for something does the time run. */
async function orSilence<T>(call: Promise<T>, silence: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const message = `nothing came for ${silence / 1000} s`;
      const hint = 'Check the network and proxies between here and the store.';
      reject(new PgsiloError('sink.unreachable', message, { hint }));
    }, silence);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}

function tooShort(key: string, bytes: number, wanted: number): PgsiloError {
  return new PgsiloError('sink.corrupt', `${key} ended after ${bytes} of ${wanted} bytes`, {
    hint: 'Use the copy in another sink, or another backup.',
  });
}

function replaced(key: string, cause: unknown): PgsiloError {
  return new PgsiloError('sink.corrupt', `${key} became another object while it was read`, {
    cause,
    hint: 'Somebody else writes to the bucket: use the copy in another sink, or another backup.',
  });
}

export async function stat(store: Store, key: string, context: Context): Promise<ObjectInfo> {
  const doing = `look at ${key}`;
  const abortSignal = context.signal;
  const found = await attempt(doing, context, async () => {
    try {
      return await store.client.send(new HeadObjectCommand(store.at(key)), { abortSignal });
    } catch (error) {
      if (statusOf(error) === 404) await mustHaveBucket(store, doing, abortSignal);
      throw error;
    }
  });
  return { key, bytes: found.ContentLength ?? 0, modified: found.LastModified ?? new Date(0) };
}

/** An answer to HEAD has no body that would tell a missing object from a missing bucket. */
async function mustHaveBucket(
  { client, bucket }: Store,
  doing: string,
  abortSignal: AbortSignal,
): Promise<void> {
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal });
  } catch (error) {
    if (statusOf(error) !== 404) return;
    throw new PgsiloError('sink.missing', `cannot ${doing}: there is no bucket ${bucket}`, {
      cause: translate(error, doing).cause,
      hint: 'Create the bucket, or correct `bucket` in the pipeline file.',
    });
  }
}

export async function* list(store: Store, prefix: string, context: Context): AsyncGenerator<ObjectInfo> {
  let next: string | undefined;
  do {
    const command = new ListObjectsV2Command({
      Bucket: store.bucket,
      Prefix: store.prefix + prefix,
      MaxKeys: keysPerPage,
      ...(next === undefined ? {} : { ContinuationToken: next }),
    });
    const page = await attempt(`list ${prefix}`, context, () =>
      store.client.send(command, { abortSignal: context.signal }),
    );
    for (const { Key = '', Size: bytes = 0, LastModified: modified = new Date(0) } of page.Contents ?? [])
      yield { key: Key.slice(store.prefix.length), bytes, modified };
    next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (next !== undefined);
}
