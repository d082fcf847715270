import type { IncomingMessage } from 'node:http';
import { PgsiloError } from '@pgsilo/plugin';
import type { Body, ByteRange, Context, ObjectInfo } from '@pgsilo/plugin';
import { attempt, brokeOff, saysNoBucket, saysNoObject, AnswerError } from './errors.ts';
import { repeating } from './store.ts';
import type { Resource, Store } from './store.ts';

/** Connections that break before a byte has come. */
const attempts = 4;
/** A page is held in memory; the service gives no larger one. */
const keysPerPage = 1000;

/** A connection that breaks is followed by another one for the rest, of the same generation. */
export async function* read(store: Store, key: string, range: ByteRange | undefined, context: Context): Body {
  const doing = `read ${key}`;
  const path = store.path(store.prefix + key);
  const reader = { waiting: true };
  const begin = range?.offset ?? 0;
  let wanted = range?.length;
  let generation: string | undefined;
  let bytes = 0;
  let failures = 0;
  const open = async (): Promise<IncomingMessage> => {
    const first = begin + bytes;
    const last = wanted === undefined ? '' : begin + wanted - 1;
    const whole = range === undefined && bytes === 0;
    const query = { alt: 'media', generation };
    const headers = whole ? {} : { range: `bytes=${first}-${last}` };
    const answer = await repeating(context, () =>
      store.call({ method: 'GET', path, query, headers, reader }, context),
    );
    if (whole || answer.headers['content-range']?.startsWith(`bytes ${first}-`)) return answer;
    answer.destroy();
    throw new PgsiloError('sink.failed', `${key} was asked for from byte ${first} on, and comes otherwise`, {
      hint: 'Does a proxy before the service drop the header Range?',
    });
  };
  for (;;) {
    const answer = await attempt(doing, context, () => whetherThere(store, context, open));
    wanted ??= lengthIn(answer) ?? (await stat(store, key, context)).bytes;
    generation ??= answer.headers['x-goog-generation'] as string | undefined;
    const chunks = answer[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    try {
      for (;;) {
        reader.waiting = true;
        const next = await attempt(doing, context, () => chunks.next());
        reader.waiting = false;
        if (next.done) break;
        bytes += next.value.length;
        failures = 0;
        yield next.value;
      }
    } catch (error) {
      const { cause } = error as { cause?: unknown };
      failures += 1;
      // Without a generation the rest might be another object's.
      if (context.signal.aborted || failures === attempts || !generation || !brokeOff(cause)) throw error;
      context.retried();
    } finally {
      answer.destroy();
    }
    if (failures > 0 && bytes < wanted) continue;
    if (bytes !== wanted) throw tooShort(key, bytes, wanted);
    return;
  }
}

/** The bucket is asked for where the service does not say what is missing: nothing listed must not mean that all is lost. */
async function whetherThere<T>(store: Store, context: Context, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof AnswerError) || error.status !== 404) throw error;
    if (saysNoObject(error) || saysNoBucket(error)) throw error;
    const query = { maxResults: '1', fields: 'kind' };
    await store.ask({ method: 'GET', path: store.path(), query }, context).catch((other: unknown) => {
      if (other instanceof AnswerError && other.status === 404)
        throw new AnswerError(404, other.reason, 'The specified bucket does not exist.');
    });
    throw error;
  }
}

function lengthIn({ headers }: IncomingMessage): number | undefined {
  const length = headers['x-goog-stored-content-length'] ?? headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

function tooShort(key: string, bytes: number, wanted: number): PgsiloError {
  return new PgsiloError('sink.corrupt', `${key} ended after ${bytes} of ${wanted} bytes`, {
    hint: 'Use the copy in another sink, or another backup.',
  });
}

export async function stat(store: Store, key: string, context: Context): Promise<ObjectInfo> {
  const { size, timeCreated } = await attempt(`look at ${key}`, context, () =>
    whetherThere(store, context, () =>
      store.ask<Resource>(
        { method: 'GET', path: store.path(store.prefix + key), query: { fields: 'size,timeCreated' } },
        context,
      ),
    ),
  );
  return { key, bytes: Number(size), modified: new Date(timeCreated) };
}

interface Page {
  readonly items?: readonly Resource[];
  readonly nextPageToken?: string;
}

export async function* list(store: Store, prefix: string, context: Context): AsyncGenerator<ObjectInfo> {
  let pageToken: string | undefined;
  do {
    const query = {
      prefix: store.prefix + prefix,
      maxResults: String(keysPerPage),
      fields: 'items(name,size,timeCreated),nextPageToken',
      pageToken,
    };
    const page = await attempt(`list ${prefix}`, context, async () => {
      try {
        return await store.ask<Page>({ method: 'GET', path: store.path(), query }, context);
      } catch (error) {
        if (error instanceof AnswerError && error.status === 404)
          throw new AnswerError(404, error.reason, 'The specified bucket does not exist.');
        throw error;
      }
    });
    for (const { name, size, timeCreated } of page.items ?? [])
      yield { key: name.slice(store.prefix.length), bytes: Number(size), modified: new Date(timeCreated) };
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined && pageToken !== '');
}
