import { createServer, request as send } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** What becomes of a request: it passes, its answer is lost after it was done, it is answered here, or it is done when the promise resolves, even if the sink has gone by then. */
export type Fate =
  | 'pass'
  | 'lose the answer'
  | { readonly status: number; readonly code?: string; readonly text?: string }
  | Promise<void>;

export interface Meddler {
  readonly endpoint: string;
  /** Decides about each request; `pass` until it is set. */
  decide: (request: IncomingMessage) => Fate;
  /** Told when a request was done by the server. */
  done: (request: IncomingMessage) => void;
  stop(): Promise<void>;
}

/** Stands between a sink and its server, as bad networks do. */
export async function startMeddler(behind: string): Promise<Meddler> {
  const server = createServer(async (request, response) => {
    const fate = meddler.decide(request);
    try {
      let body: AsyncIterable<Buffer> | Buffer[] = request;
      if (fate instanceof Promise) {
        body = await request.toArray();
        await fate;
      } else if (typeof fate === 'object') {
        request.resume();
        const headers = {
          ...(fate.code === undefined ? {} : { 'x-ms-error-code': fate.code }),
          ...(fate.text === undefined ? {} : { 'content-type': 'application/xml' }),
        };
        return void response.writeHead(fate.status, headers).end(fate.text);
      }
      const { method = 'GET', url = '', headers } = request;
      const onward = send(new URL(url, behind), { method, headers, agent: false });
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        onward.on('response', resolve).on('error', reject);
      });
      // Until it is awaited: a sink that breaks off ends both.
      answered.catch(() => {});
      await pipeline(body, onward);
      const answer = await answered;
      meddler.done(request);
      if (fate === 'lose the answer') return void response.destroy();
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      await pipeline(answer, response);
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const meddler: Meddler = {
    endpoint: `http://127.0.0.1:${port}${new URL(behind).pathname}`,
    decide: () => 'pass',
    done: () => {},
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return meddler;
}

/** What a request is, by what the protocol says in its URL. */
export function isCommit({ method, url = '' }: IncomingMessage): boolean {
  return method === 'PUT' && url.includes('comp=blocklist');
}
export function isStage({ method, url = '' }: IncomingMessage): boolean {
  return method === 'PUT' && /comp=block(&|$)/.test(url);
}
