import { randomBytes } from 'node:crypto';
import { PgsiloError, takeIn, throwIfAborted } from '@pgsilo/plugin';
import type { Body, Context, PutHint, StoredObject } from '@pgsilo/plugin';
import { largestObject } from './chunk-plan.ts';
import type { ChunkPlan } from './chunk-plan.ts';
import { createOnce, markOf } from './create-once.ts';
import { inBase64 } from './crc32c.ts';
import { cutChunks } from './cut-chunks.ts';
import type { Chunk } from './cut-chunks.ts';
import { attempt } from './errors.ts';
import { Session } from './session.ts';
import { endedBy, repeating } from './store.ts';
import type { Calling, Resource, Store } from './store.ts';
import { textOf } from './transport.ts';

/**
 * Stores a body as a new object. What fits into one chunk is one request; the rest goes through a session, chunk by chunk, and becomes an object with the last of them, so that nobody sees less.
 */
export async function upload(
  store: Store,
  key: string,
  body: Body,
  hint: PutHint,
  plan: ChunkPlan,
  context: Context,
): Promise<StoredObject> {
  const stop = new AbortController();
  const calling = endedBy(AbortSignal.any([context.signal, stop.signal]), context);
  const taken = takeIn(body, calling.signal);
  const chunks = cutChunks(taken.body, plan.chunk);
  const writer = randomBytes(12).toString('hex');
  const doing = `store ${key}`;
  const name = store.prefix + key;
  const description = describe(store, name, writer, hint);
  let session: Session | undefined;
  let sending: Promise<void> = Promise.resolve();
  const make = async (
    chunk: Chunk,
    request: (calling: Calling) => Promise<Resource>,
  ): Promise<StoredObject> => {
    const written = { name, writer, bytes: taken.bytes, crc: chunk.crc };
    const { generation } = await createOnce(store, written, doing, context, request);
    return { bytes: taken.bytes, version: generation };
  };
  try {
    for await (const chunk of chunks) {
      await sending;
      if (taken.bytes > largestObject) throw tooLarge(key);
      if (!session) {
        if (chunk.last) return await make(chunk, (own) => insert(store, description, chunk, own));
        session = await attempt(doing, calling, () => Session.begin(store, description, calling));
      }
      const begun = session;
      if (chunk.last) return await make(chunk, (own) => begun.finish(chunk, own));
      sending = attempt(doing, calling, () => begun.send(chunk, calling)).then(() => chunk.done());
      // It is awaited with the next chunk; until then the body must not stall on what has failed.
      sending.catch((error: unknown) => stop.abort(error));
      if (!plan.ahead) await sending;
    }
    throw new PgsiloError('internal', `the body of ${key} had no last chunk`);
  } catch (error) {
    stop.abort(error);
    await sending.catch(() => {});
    await chunks.return(undefined);
    await session?.cancel();
    throwIfAborted(context.signal);
    taken.rethrow();
    throw error;
  }
}

function describe({ options }: Store, name: string, writer: string, { kind }: PutHint): object {
  const { storageClass, kmsKeyName } = options;
  return {
    name,
    contentType: 'application/octet-stream',
    metadata: markOf(writer),
    // Small and read often: a colder class would cost more.
    ...(storageClass === undefined ? {} : { storageClass: kind === 'artifact' ? storageClass : 'STANDARD' }),
    ...(kmsKeyName === undefined ? {} : { kmsKeyName }),
  };
}

/** Description and bytes in one request. Its checksum goes first: the service refuses what does not fit it. */
function insert(
  store: Store,
  description: object,
  { bytes, crc }: Chunk,
  calling: Calling,
): Promise<Resource> {
  const boundary = `pgsilo-${randomBytes(16).toString('hex')}`;
  const head = [
    `--${boundary}`,
    'content-type: application/json; charset=UTF-8',
    '',
    JSON.stringify({ ...description, crc32c: inBase64(crc) }),
    `--${boundary}`,
    'content-type: application/octet-stream',
    '',
    '',
  ].join('\r\n');
  // It may be repeated: an object that an earlier try has made is known by its mark.
  return repeating(calling, async () => {
    const answer = await store.call(
      {
        method: 'POST',
        path: `/upload${store.path()}`,
        query: { uploadType: 'multipart', ifGenerationMatch: '0' },
        headers: { 'content-type': `multipart/related; boundary=${boundary}` },
        body: [Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)],
      },
      calling,
    );
    return JSON.parse(await textOf(answer)) as Resource;
  });
}

function tooLarge(key: string): PgsiloError {
  return new PgsiloError(
    'sink.too-large',
    `cannot store ${key}: it is larger than ${largestObject / 1024 ** 4} TiB`,
    { hint: 'The service takes no larger object.' },
  );
}
