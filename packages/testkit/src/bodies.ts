import { createCipheriv, createHash } from 'node:crypto';
import type { Cipheriv } from 'node:crypto';
import type { Body } from '@pgsilo/plugin';

const usualChunk = 64 * 1024;

/** A body of these chunks; strings become UTF-8. */
export async function* bodyOf(...chunks: readonly (string | Uint8Array)[]): Body {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

/** Bytes that no compressor shortens; the same for the same seed. */
export async function* randomBody(bytes: number, seed = 1, chunk: number = usualChunk): Body {
  const cipher = cipherOf(seed);
  for (let left = bytes; left > 0; left -= chunk) yield cipher.update(Buffer.alloc(Math.min(chunk, left)));
}

/** Rows as in a dump, which compress to about a quarter; the same for the same seed. */
export async function* dumpLikeBody(bytes: number, seed = 1, chunk: number = usualChunk): Body {
  const states = ['active', 'demo', 'suspended', 'legacy'];
  const cipher = cipherOf(seed);
  const zeros = Buffer.alloc(6);
  let row = 0;
  for (let left = bytes; left > 0; left -= chunk) {
    const wanted = Math.min(chunk, left);
    let text = '';
    for (; text.length < wanted; row += 1) {
      const hash = cipher.update(zeros).toString('hex');
      text += `${row}\t${hash}\tcustomer ${row % 977}\t${states[row % 4]}\t2026-11-${10 + (row % 20)} 02:00:00+00\t\\N\n`;
    }
    yield Buffer.from(text).subarray(0, wanted);
  }
}

function cipherOf(seed: number): Cipheriv {
  return createCipheriv('aes-128-ctr', createHash('md5').update(String(seed)).digest(), Buffer.alloc(16));
}

/** The same bytes in chunks of uneven lengths, empty ones among them. */
export async function* inOddChunks(body: Body): Body {
  const lengths = [1, 0, 3, 65_537, 2, 7, 4_096, 100_003, 0, 1];
  let turn = 0;
  for await (const chunk of body) {
    for (let at = 0; at < chunk.length; turn += 1) {
      const length = lengths[turn % lengths.length]!;
      yield chunk.subarray(at, at + length);
      at += length;
    }
  }
}

/** Never ends. */
export async function* endlessBody(chunk: Uint8Array = Buffer.alloc(usualChunk, 'x')): Body {
  for (;;) yield chunk;
}

/** What another body gives, then this error instead of an end. */
export async function* throwingBody(
  error: unknown,
  before: Body = bodyOf('what comes before an error'),
): Body {
  yield* before;
  throw error;
}

/** What another body gives, then nothing for ever; no abort moves it. */
export async function* stalledBody(before: Body = bodyOf('what comes before a stall')): Body {
  yield* before;
  await new Promise<never>(() => {});
}

/** A body that waits at a gate after `before` until {@link GatedBody.open} is called. */
export interface GatedBody {
  readonly body: Body;
  /** Resolves when all of `before` was taken and more is asked for. */
  readonly reached: Promise<void>;
  open(): void;
}

export function gatedBody(before: Uint8Array | Body, after: Uint8Array | Body): GatedBody {
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  async function* body(): Body {
    yield* before instanceof Uint8Array ? bodyOf(before) : before;
    reached.resolve();
    await gate.promise;
    yield* after instanceof Uint8Array ? bodyOf(after) : after;
  }
  return { body: body(), reached: reached.promise, open: () => gate.resolve() };
}

/** A body that tells what became of it. */
export interface WatchedBody {
  readonly body: Body;
  /** Whether it was read to its end or closed by its reader. */
  readonly closed: boolean;
}

export function watchedBody(source: Body): WatchedBody {
  let closed = false;
  async function* body(): Body {
    try {
      yield* source;
    } finally {
      closed = true;
    }
  }
  return {
    body: body(),
    get closed() {
      return closed;
    },
  };
}

/** All of a body, in memory. */
export async function collect(body: Body): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** SHA-256 of a body, in hex; holds nothing of it. */
export async function sha256Of(body: Body): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of body) hash.update(chunk);
  return hash.digest('hex');
}
