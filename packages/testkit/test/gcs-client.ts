import { startGcs } from '../src/object-stores.ts';
import type { ThrowawayGcs } from '../src/object-stores.ts';

export const bucket = 'some-bucket';
export const chunk: number = 256 * 1024;

/** What answers may say, as far as tests look. */
interface GcsJson {
  readonly name: string;
  readonly size: string;
  readonly generation: string;
  readonly contentType: string;
  readonly timeCreated: string;
  readonly retentionExpirationTime: string;
  readonly metadata?: object;
  readonly items: readonly { readonly name: string; readonly generation: string }[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
  readonly error?: { readonly message: string; readonly errors: readonly { readonly reason: string }[] };
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: GcsJson;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  /** Sent instead of a good one; empty: none. */
  readonly token?: string;
}

/** Speaks the protocol as its documentation has it, with nothing of a client's own. */
export interface GcsClient {
  readonly server: ThrowawayGcs;
  ask(path: string, asking?: Asking): Promise<Answer>;
  /** Stores an object in one request. */
  insert(
    name: string,
    body: string | Buffer,
    query?: string,
    headers?: Record<string, string>,
  ): Promise<Answer>;
  /** Begins a session; its URI. */
  start(
    name: string,
    query?: string,
    description?: object,
    headers?: Record<string, string>,
  ): Promise<string>;
  /** A chunk or a question of a session. */
  put(uri: string, range: string, body?: Buffer, headers?: Record<string, string>): Promise<Answer>;
  stop(): Promise<void>;
}

export async function startGcsClient(): Promise<GcsClient> {
  const server = await startGcs();
  const good = server.tokens.issue();
  const ask: GcsClient['ask'] = async (path, { method = 'GET', headers = {}, body, token = good } = {}) => {
    const answer = await fetch(new URL(path, server.endpoint), {
      method,
      redirect: 'manual',
      headers: { ...headers, ...(token === '' ? {} : { authorization: `Bearer ${token}` }) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : new Uint8Array(body) }),
    });
    const text = await answer.text();
    let json = {} as GcsJson;
    try {
      json = JSON.parse(text) as GcsJson;
    } catch {
      // Not all answers are.
    }
    return { status: answer.status, headers: answer.headers, text, json };
  };
  return {
    server,
    ask,
    insert: (name, body, query = '', headers = {}) =>
      ask(`/upload/storage/v1/b/${bucket}/o?uploadType=media&name=${encodeURIComponent(name)}${query}`, {
        method: 'POST',
        body,
        headers,
      }),
    async start(name, query = '', description = {}, headers = {}) {
      const path = `/upload/storage/v1/b/${bucket}/o?uploadType=resumable&name=${encodeURIComponent(name)}${query}`;
      const body = JSON.stringify(description);
      const answer = await ask(path, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json; charset=UTF-8', ...headers },
      });
      const location = answer.headers.get('location');
      if (answer.status !== 200 || location === null)
        throw new Error(`no session began: ${answer.status} ${answer.text}`);
      return location;
    },
    put: (uri, range, body = Buffer.alloc(0), headers = {}) =>
      ask(uri, { method: 'PUT', token: '', body, headers: { 'content-range': range, ...headers } }),
    stop: () => server.stop(),
  };
}
