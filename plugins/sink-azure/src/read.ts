import type { Readable } from 'node:stream';
import { PgsiloError } from '@pgsilo/plugin';
import type { Body, ByteRange, Context, ObjectInfo } from '@pgsilo/plugin';
import { attempt } from './errors.ts';
import type { Store } from './store.ts';

/** Of one connection that breaks; the SDK goes on where it was. */
const resumptions = 3;
/** A page is held in memory. */
const keysPerPage = 1000;

export async function* read(store: Store, key: string, range: ByteRange | undefined, context: Context): Body {
  const doing = `read ${key}`;
  const settings = { abortSignal: context.signal, maxRetryRequests: resumptions };
  const answer = await attempt(doing, context, () =>
    store.blob(key).download(range?.offset, range?.length, settings),
  );
  const wanted = range?.length ?? answer.contentLength;
  const stream = answer.readableStreamBody as Readable;
  // Destroying it may make it complain once more, to nobody.
  stream.on('error', () => {});
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let bytes = 0;
  try {
    for (;;) {
      const next = await attempt(doing, context, () => chunks.next());
      if (next.done) break;
      bytes += next.value.length;
      yield next.value;
    }
  } finally {
    stream.destroy();
  }
  if (bytes !== wanted) throw tooShort(key, bytes, wanted);
}

function tooShort(key: string, bytes: number, wanted: number | undefined): PgsiloError {
  return new PgsiloError(
    'sink.corrupt',
    `${key} ended after ${bytes} of ${wanted ?? 'an unknown number of'} bytes`,
    {
      hint: 'Use the copy in another sink, or another backup.',
    },
  );
}

export async function stat(store: Store, key: string, context: Context): Promise<ObjectInfo> {
  const found = await attempt(`look at ${key}`, context, () =>
    store.blob(key).getProperties({ abortSignal: context.signal }),
  );
  return { key, bytes: found.contentLength ?? 0, modified: found.lastModified ?? new Date(0) };
}

export async function* list(store: Store, prefix: string, context: Context): AsyncGenerator<ObjectInfo> {
  const pages = store.container
    .listBlobsFlat({ prefix: store.prefix + prefix, abortSignal: context.signal })
    .byPage({ maxPageSize: keysPerPage });
  for (;;) {
    const page = await attempt(`list ${prefix}`, context, () => pages.next());
    if (page.done) return;
    for (const { name, properties } of page.value.segment.blobItems) {
      const { contentLength: bytes = 0, lastModified: modified } = properties;
      yield { key: name.slice(store.prefix.length), bytes, modified };
    }
  }
}
