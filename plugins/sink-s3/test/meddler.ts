import { createServer, request as send } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** What becomes of a request. */
export type Fate =
  | 'pass'
  /** It is done, and nobody hears of it. */
  | 'lose the answer'
  /** The connection breaks when some of its body has come. */
  | 'reset'
  /** Nothing comes back, and nothing is passed on. */
  | 'stall'
  /** It is done, but a proxy has given up on it: after so many milliseconds it says so, instead of the server. */
  | { readonly patience: number }
  /** The answer comes with other headers. */
  | { readonly alter: (headers: IncomingHttpHeaders) => void }
  /** The answer breaks off after so many bytes of its body, or ends there as if that were all of it. */
  | { readonly cut: number; readonly asIfWhole?: boolean }
  /** It is answered here. */
  | {
      readonly status: number;
      readonly code: string;
      readonly message?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** It is done when the promise resolves, even if the sink has gone by then. */
  | Promise<void>;

export interface Meddler {
  readonly endpoint: string;
  /** Decides about each request; `pass` until it is set. */
  decide: (request: IncomingMessage) => Fate;
  /** Meets the first so many of certain requests with a fate; tells how many those were. */
  meet(times: number, which: (request: IncomingMessage) => boolean, fate: () => Fate): () => number;
  /** Told when a request was done by the server. */
  done: (request: IncomingMessage) => void;
  stop(): Promise<void>;
}

/** Stands between a sink and its server, as bad networks do. */
export async function startMeddler(behind: string): Promise<Meddler> {
  const server = createServer(async (request, response) => {
    try {
      await meddle(meddler, behind, request, response);
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const meddler: Meddler = {
    endpoint: `http://127.0.0.1:${port}`,
    decide: () => 'pass',
    done: () => {},
    meet(times, which, fate) {
      let met = 0;
      meddler.decide = (request) => {
        if (!which(request) || met >= times) return 'pass';
        met += 1;
        return fate();
      };
      return () => met;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return meddler;
}

async function meddle(
  meddler: Meddler,
  behind: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const fate = meddler.decide(request);
  if (fate === 'stall') return;
  if (fate === 'reset') {
    await new Promise((resolve) => request.once('data', resolve).once('end', resolve));
    return void request.socket.resetAndDestroy();
  }
  if (typeof fate === 'object' && 'status' in fate) {
    request.resume();
    const { status, code, message = 'told by the meddler', headers } = fate;
    const text = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
    return void response.writeHead(status, { 'content-type': 'application/xml', ...headers }).end(text);
  }
  let body: AsyncIterable<Buffer> | Buffer[] = request;
  if (fate instanceof Promise) {
    body = await request.toArray();
    await fate;
  }
  const { method = 'GET', url = '' } = request;
  const onward = send(new URL(url, behind), { method, headers: request.headers, agent: false });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    onward.on('response', resolve).on('error', reject);
  });
  // Until it is awaited: a sink that breaks off ends both.
  answered.catch(() => {});
  await pipeline(body, onward);
  const answer = await answered;
  meddler.done(request);
  if (typeof fate === 'object' && 'patience' in fate) {
    answer.resume();
    await sleep(fate.patience);
    return void response.writeHead(504, { 'content-type': 'text/html' }).end('<html>Gateway time-out</html>');
  }
  if (fate === 'lose the answer') return void response.destroy();
  if (typeof fate === 'object' && 'cut' in fate) return cutAnswer(answer, response, fate);
  const headers = { ...answer.headers };
  if (typeof fate === 'object' && 'alter' in fate) fate.alter(headers);
  response.writeHead(answer.statusCode ?? 500, headers);
  return pipeline(answer, response);
}

async function cutAnswer(
  answer: IncomingMessage,
  response: ServerResponse,
  { cut, asIfWhole = false }: { readonly cut: number; readonly asIfWhole?: boolean },
): Promise<void> {
  const content = Buffer.concat((await answer.toArray()) as Buffer[]).subarray(0, cut);
  const headers = { ...answer.headers, ...(asIfWhole ? { 'content-length': String(cut) } : {}) };
  response.writeHead(answer.statusCode ?? 500, headers);
  await new Promise<unknown>((resolve) => response.write(content, resolve));
  if (asIfWhole) response.end();
  else response.destroy();
}

/** What a request is, by what the protocol says in its URL. */
function parametersOf({ url = '' }: IncomingMessage): URLSearchParams {
  return new URL(url, 'http://host').searchParams;
}
export function isPart(request: IncomingMessage): boolean {
  return request.method === 'PUT' && parametersOf(request).has('partNumber');
}
export function isWhole(request: IncomingMessage): boolean {
  return request.method === 'PUT' && !parametersOf(request).has('partNumber');
}
export function isCompletion(request: IncomingMessage): boolean {
  return request.method === 'POST' && parametersOf(request).has('uploadId');
}
export function isBatch(request: IncomingMessage): boolean {
  return request.method === 'POST' && parametersOf(request).has('delete');
}
export function isBodyRead(request: IncomingMessage): boolean {
  return (
    request.method === 'GET' &&
    !request.url?.includes('list-type') &&
    parametersOf(request).get('x-id') === 'GetObject'
  );
}
export function versionOf(request: IncomingMessage): string | null {
  return parametersOf(request).get('versionId');
}
export function isLook(request: IncomingMessage): boolean {
  return request.method === 'HEAD';
}
/** Whether a bucket keeps versions, and which. */
export function isAboutVersions(request: IncomingMessage): boolean {
  const parameters = parametersOf(request);
  return request.method === 'GET' && (parameters.has('versioning') || parameters.has('versions'));
}
