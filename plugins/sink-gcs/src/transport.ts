import * as http from 'node:http';
import * as https from 'node:https';

/** Milliseconds without a byte in either direction, after which a request is given up. */
const patience = 60_000;
/** Connections in all; more wait. */
const mostConnections = 64;

/** One HTTP request. */
export interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: readonly Uint8Array[];
  readonly signal: AbortSignal;
  /** Of an answer that is read bit by bit: a reader that pauses is no silence of the service. */
  readonly reader?: { readonly waiting: boolean };
}

/** Connections of the sink's own, which end with it. */
export class Transport {
  readonly #patience: number;
  readonly #http: http.Agent;
  readonly #https: https.Agent;

  constructor(silence: number = patience) {
    this.#patience = silence;
    const settings = { keepAlive: true, maxSockets: mostConnections, proxyEnv: process.env };
    this.#http = new http.Agent(settings);
    this.#https = new https.Agent(settings);
  }

  /** The answer's head, whatever its status; its body is for the caller to read or to destroy. */
  send({ method, url, headers, body = [], signal, reader }: Request): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const secure = url.protocol === 'https:';
      const length = body.reduce((sum, piece) => sum + piece.length, 0);
      const request = (secure ? https : http).request(url, {
        method,
        agent: secure ? this.#https : this.#http,
        headers: { ...headers, ...(method === 'GET' ? {} : { 'content-length': length }) },
        signal,
        // Given here, it also counts while there is no connection yet.
        timeout: this.#patience,
      });
      let answered = false;
      request.on('timeout', () => {
        // A socket tells it once, and then not again before it has moved.
        if (answered && reader && !reader.waiting) return void request.setTimeout(this.#patience);
        const silent = new Error(`no answer for ${Math.round(this.#patience / 1000)} s`);
        request.destroy(Object.assign(silent, { code: 'ETIMEDOUT' }));
      });
      request.on('error', reject);
      request.on('response', (answer) => {
        answered = true;
        // Whoever reads it is told by what it throws.
        answer.on('error', () => {});
        resolve(answer);
      });
      for (const piece of body) request.write(piece);
      request.end();
    });
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

export async function textOf(answer: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
