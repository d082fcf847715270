import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a store knows of one upload, of which it keeps nothing. */
export interface Counted {
  /** Sizes by part number. */
  readonly parts: Map<number, number>;
  completed: boolean;
  aborted: boolean;
}

export interface CountingServer {
  readonly endpoint: string;
  readonly upload: Counted;
  /** The `x-amz-security-token`s that came, in the order of their first appearance. */
  readonly tokens: Set<string>;
  /** Tokens that are refused. */
  readonly expired: Set<string>;
  stop(): Promise<void>;
}

/** Says what S3 says to one upload in parts, and refuses what it refuses: parts beyond the last number, and parts that are too small. */
export async function startCountingServer(maxParts: number, smallest: number): Promise<CountingServer> {
  const upload: Counted = { parts: new Map(), completed: false, aborted: false };
  const tokens = new Set<string>();
  const expired = new Set<string>();
  const server = createServer(async (request, response) => {
    const end = (status: number, code?: string, text = ''): void => {
      const xml = code === undefined ? text : `<Error><Code>${code}</Code><Message>${code}</Message></Error>`;
      response.writeHead(status, { 'content-type': 'application/xml', etag: '"etag"' }).end(xml);
    };
    const url = new URL(request.url ?? '/', 'http://host');
    const bytes = await lengthOf(request);
    const number = Number(url.searchParams.get('partNumber'));
    const token = request.headers['x-amz-security-token'];
    if (typeof token === 'string') tokens.add(token);
    if (typeof token === 'string' && expired.has(token)) return end(400, 'ExpiredToken');
    if (request.method === 'HEAD') return end(404);
    if (url.searchParams.has('uploads')) return end(200, undefined, '<R><UploadId>one</UploadId></R>');
    if (request.method === 'DELETE') {
      upload.aborted = true;
      return end(204);
    }
    if (request.method === 'PUT' && number > 0) {
      if (number > maxParts) return end(400, 'InvalidArgument');
      upload.parts.set(number, bytes);
      return end(200);
    }
    if (request.method !== 'POST') return end(501, 'NotImplemented');
    const sizes = [...upload.parts].sort(([a], [b]) => a - b).map(([, size]) => size);
    if (sizes.slice(0, -1).some((size) => size < smallest)) return end(400, 'EntityTooSmall');
    upload.completed = true;
    return end(200, undefined, '<R><ETag>"etag"</ETag></R>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    upload,
    tokens,
    expired,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function lengthOf(request: IncomingMessage): Promise<number> {
  let bytes = 0;
  for await (const chunk of request) bytes += (chunk as Buffer).length;
  return bytes;
}
