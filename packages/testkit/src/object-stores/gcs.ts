import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerGcs } from './gcs-answers.ts';
import { breakingOff, faultInHeaders } from './gcs-faults.ts';
import type { GcsFault } from './gcs-faults.ts';
import { GcsRefusal } from './gcs-refusal.ts';
import { readRequest } from './gcs-request.ts';
import type { GcsRequest } from './gcs-request.ts';
import { GcsService } from './gcs-service.ts';
import { GcsSessions } from './gcs-sessions.ts';
import { GcsTokens } from './gcs-tokens.ts';

/** A server of Google Cloud Storage's JSON API that keeps objects in memory. */
export interface ThrowawayGcs {
  readonly endpoint: string;
  readonly service: GcsService;
  readonly sessions: GcsSessions;
  readonly tokens: GcsTokens;
  /** Decides about each request, before anything of it is done; undefined lets it pass. */
  decide: (request: GcsRequest) => GcsFault | undefined;
  /** Told of each request that was done, whether or not its answer arrives. */
  done: (request: GcsRequest) => void;
  stop(): Promise<void>;
}

/**
 * Written after the service's documentation, not after any client: it refuses what the service refuses.
 * Names of its faults and of its in-process hooks are its own.
 */
export async function startGcs(): Promise<ThrowawayGcs> {
  const service = new GcsService();
  const sessions = new GcsSessions(service);
  const tokens = new GcsTokens();
  const server = createServer((message, response) => {
    // A client that breaks off is answered by nothing.
    message.on('error', () => {});
    response.on('error', () => {});
    serve(message, response).catch((error: unknown) => refuse(message, response, error));
  });

  async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = readRequest(message);
    const fault = faultInHeaders(request) ?? gcs.decide(request);
    if (fault === 'stall') return;
    if (fault === 'reset') return void message.socket.resetAndDestroy();
    if (typeof fault === 'object' && 'text' in fault) {
      message.resume();
      return void response.writeHead(fault.status, { 'content-type': 'text/html' }).end(fault.text);
    }
    if (typeof fault === 'object' && 'status' in fault)
      throw new GcsRefusal(fault.status, fault.reason ?? 'backendError', fault.message ?? 'A fault.');
    if (typeof fault === 'object' && 'after' in fault) await fault.after;
    const body: AsyncIterable<Buffer> =
      typeof fault === 'object' && 'resetAfter' in fault ? breakingOff(message, fault.resetAfter) : message;
    const answer = await answerGcs({ service, sessions, tokens, endpoint: gcs.endpoint }, request, body);
    gcs.done(request);
    if (fault === 'lose the answer') return void message.socket.resetAndDestroy();
    const { status, headers, content } = answer;
    const cut = typeof fault === 'object' && 'cutAfter' in fault ? fault.cutAfter : undefined;
    const { shortBy, unsized } =
      typeof fault === 'object' && 'shortBy' in fault ? fault : { shortBy: 0, unsized: false };
    const sent = content.subarray(0, content.length - shortBy);
    if (unsized) delete headers['x-goog-stored-content-length'];
    response.writeHead(status, {
      ...headers,
      ...(status === 204 || unsized ? {} : { 'content-length': sent.length }),
    });
    if (cut === undefined) return void response.end(sent);
    response.write(sent.subarray(0, cut), () => message.socket.resetAndDestroy());
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const gcs: ThrowawayGcs = {
    endpoint: `http://127.0.0.1:${port}`,
    service,
    sessions,
    tokens,
    decide: () => undefined,
    done: () => {},
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return gcs;
}

function refuse(message: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (!(error instanceof GcsRefusal) || response.headersSent || message.socket.destroyed)
    return void message.socket.destroy();
  // What the client still sends is taken, or its answer would be lost in a reset.
  message.resume();
  if (error.status === 304) return void response.writeHead(304).end();
  const text = JSON.stringify(error);
  response.writeHead(error.status, {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': Buffer.byteLength(text),
    ...(error.status === 401 ? { 'www-authenticate': 'Bearer realm="https://accounts.google.com/"' } : {}),
  });
  response.end(text);
}
