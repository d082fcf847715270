import type { IncomingMessage } from 'node:http';
import type { GcsRequest } from './gcs-request.ts';

/**
 * What becomes of a request instead of what it asks for:
 * an error in the service's form, or in that of a proxy; a connection that is broken before anything is done, after so many bytes of the body, or when all is done and only the answer is missing;
 * no answer at all (the connection stays open until the client ends it or the server stops); an answer that comes later; one that is cut after so many bytes; one that claims to be whole, and is not; one that does not tell its length.
 */
export type GcsFault =
  | { readonly status: number; readonly reason?: string; readonly message?: string }
  | { readonly status: number; readonly text: string }
  | 'reset'
  | { readonly resetAfter: number }
  | 'lose the answer'
  | 'stall'
  | { readonly after: Promise<void> }
  | { readonly cutAfter: number }
  | { readonly shortBy: number; readonly unsized?: boolean };

/** The header by which a client asks for a fault, where the server is not in its process. */
export const faultHeader = 'x-goog-emulator-instructions';

const byName: Readonly<Record<string, GcsFault>> = {
  'return-429': { status: 429, reason: 'rateLimitExceeded' },
  'return-500': { status: 500, reason: 'backendError' },
  'return-503': { status: 503, reason: 'backendError' },
  'reset-connection': 'reset',
  'lose-answer': 'lose the answer',
  stall: 'stall',
  'return-broken-stream': { cutAfter: 1 },
};

export function faultInHeaders({ headers }: GcsRequest): GcsFault | undefined {
  const wanted = String(headers[faultHeader] ?? '');
  const [, bytes] = /^reset-after-(\d+)$/.exec(wanted) ?? [];
  return bytes === undefined ? byName[wanted] : { resetAfter: Number(bytes) };
}

/** Breaks the connection off once so many bytes of the body were taken. */
export async function* breakingOff(message: IncomingMessage, bytes: number): AsyncGenerator<Buffer> {
  let taken = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    const some = chunk.subarray(0, bytes - taken);
    taken += some.length;
    yield some;
    if (taken < bytes) continue;
    message.destroy();
    throw new Error('broken off by a fault');
  }
}
