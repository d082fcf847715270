import type { IncomingMessage } from 'node:http';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import { inBase64 } from './crc32c.ts';
import type { Chunk } from './cut-chunks.ts';
import { AnswerError, mayPass } from './errors.ts';
import { errorIn, pauseBefore, repeating } from './store.ts';
import type { Calling, Resource, Store } from './store.ts';
import { textOf } from './transport.ts';

/** Without a byte that is new to the service in between. */
const attempts = 5;
/** Milliseconds. */
const undoing = 1_000;

/** Where the service stands: it has so many bytes, or the object. */
type Standing = { readonly persisted: number } | { readonly made: Resource };

/**
 * A resumable upload: chunks in a row, each of which may be interrupted. Then the service is asked how far it came, and gets the rest.
 * The session's URI is a secret that opens it; no token is sent with it, so that none can run out meanwhile.
 */
export class Session {
  readonly #store: Store;
  readonly #uri: URL;
  #offset = 0;

  private constructor(store: Store, uri: URL) {
    this.#store = store;
    this.#uri = uri;
  }

  static async begin(store: Store, description: object, calling: Calling): Promise<Session> {
    return repeating(calling, async () => {
      const answer = await store.call(
        {
          method: 'POST',
          path: `/upload${store.path()}`,
          query: { uploadType: 'resumable', ifGenerationMatch: '0' },
          headers: { 'content-type': 'application/json; charset=UTF-8' },
          body: [Buffer.from(JSON.stringify(description))],
        },
        calling,
      );
      answer.resume();
      const { location } = answer.headers;
      if (location !== undefined && URL.canParse(location, store.options.apiEndpoint))
        return new Session(store, new URL(location, store.options.apiEndpoint));
      throw new PgsiloError('sink.failed', 'the service began an upload and did not say where', {
        hint: 'Is `apiEndpoint` the JSON API of Google Cloud Storage?',
      });
    });
  }

  /** Sends a chunk that is not the last. */
  async send({ bytes }: Chunk, calling: Calling): Promise<void> {
    await this.#pass(bytes, undefined, undefined, calling);
  }

  /** Sends the last chunk, which makes the object. */
  async finish({ bytes, crc }: Chunk, calling: Calling): Promise<Resource> {
    const total = this.#offset + bytes.length;
    const made = await this.#pass(bytes, total, `crc32c=${inBase64(crc)}`, calling);
    return made!;
  }

  /** The service forgets the bytes that it has; without this it does so after a week. */
  async cancel(): Promise<void> {
    const signal = AbortSignal.timeout(undoing);
    try {
      const answer = await this.#store.transport.send({
        method: 'DELETE',
        url: this.#uri,
        headers: {},
        signal,
      });
      answer.resume();
    } catch {
      // It expires.
    }
  }

  /** Ends when the service has all of these bytes; with a total, when it has made the object of them. */
  async #pass(
    bytes: Uint8Array,
    total: number | undefined,
    hash: string | undefined,
    calling: Calling,
  ): Promise<Resource | undefined> {
    const begin = this.#offset;
    const end = begin + bytes.length;
    let asking = false;
    for (let failures = 0; ;) {
      let standing: Standing;
      try {
        const rest = asking ? undefined : bytes.subarray(this.#offset - begin);
        standing = await this.#put(rest, total, hash, calling.signal);
      } catch (error) {
        throwIfAborted(calling.signal);
        failures += 1;
        if (failures === attempts || !mayPass(error)) throw error;
        await pauseBefore(failures, calling);
        asking = true;
        continue;
      }
      if ('made' in standing) return standing.made;
      const { persisted } = standing;
      if (persisted < begin || persisted > end) throw lost(end, persisted);
      const complete = persisted === end;
      if (persisted > this.#offset) failures = 0;
      // It took nothing and says that all is well, or has all and makes nothing of it.
      else if (!asking || complete) {
        failures += 1;
        if (failures === attempts) throw lost(end, persisted);
        await pauseBefore(failures, calling);
      }
      this.#offset = persisted;
      if (complete && total === undefined) return undefined;
      asking = complete;
    }
  }

  /** Some bytes from where the service stands, or the question where that is; with the total it also finishes what is all there. */
  async #put(
    rest: Uint8Array | undefined,
    total: number | undefined,
    hash: string | undefined,
    signal: AbortSignal,
  ): Promise<Standing> {
    const size = total === undefined ? '*' : String(total);
    const range = rest === undefined ? '*' : `${this.#offset}-${this.#offset + rest.length - 1}`;
    const answer = await this.#store.transport.send({
      method: 'PUT',
      url: this.#uri,
      headers: {
        'content-range': `bytes ${range}/${size}`,
        ...(hash === undefined ? {} : { 'x-goog-hash': hash }),
      },
      ...(rest === undefined ? {} : { body: [rest] }),
      signal,
    });
    const { statusCode = 0 } = answer;
    if (statusCode === 308) return { persisted: await persistedIn(answer) };
    // Of a session, not of an object.
    if (statusCode === 404) throw new AnswerError(410, 'notFound', 'the service has forgotten the upload');
    if (statusCode >= 300) throw await errorIn(answer);
    return { made: JSON.parse(await textOf(answer)) as Resource };
  }
}

/** A header that is missing means: nothing yet. */
async function persistedIn(answer: IncomingMessage): Promise<number> {
  await textOf(answer);
  const last = /^bytes[= ]0-(\d+)$/.exec(answer.headers.range ?? '')?.[1];
  return last === undefined ? 0 : Number(last) + 1;
}

function lost(sent: number, persisted: number): PgsiloError {
  return new PgsiloError(
    'sink.failed',
    `the service has ${persisted} bytes of an upload of which ${sent} were sent`,
    { hint: 'It is tried again from the beginning.' },
  );
}
