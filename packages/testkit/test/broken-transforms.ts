import { setImmediate as turn } from 'node:timers/promises';
import { PgsiloError } from '@pgsilo/plugin';
import type { Body, Context, JsonObject, Transform } from '@pgsilo/plugin';
import { blockTransform } from '@pgsilo/plugin/blocks';
import type { BlockFormat } from '@pgsilo/plugin/blocks';

/** A transform that breaks one law, and the only check that may find fault with it. */
export interface BrokenTransform {
  readonly does: string;
  readonly fails: string;
  readonly transform: Transform;
}

export const fakeBlock: number = 64 * 1024;
export const fakeLargeBytes = 3_000_000;
export const fakeSeveralBlocks = 300_000;

const markBytes = 20;

/** Blocks as they are, each behind its mark. */
const plainFormat: BlockFormat = {
  name: 'plain',
  head: (mark) => mark,
  tail: Buffer.alloc(0),
  largestStored: (rawBytes) => rawBytes,
  pack: (raw) => Promise.resolve(Buffer.from(raw)),
  unpack: (stored) => Promise.resolve(Buffer.from(stored)),
};

/** Takes the marks out again, as `gzip -d` takes gzip's. */
const byHandProgram = `
  let at = 0, input = require("node:fs").readFileSync(0);
  while (input.toString("latin1", at, at + 4) === "PSB1") {
    const end = at + ${markBytes} + input.readUInt32LE(at + 12);
    process.stdout.write(input.subarray(at + ${markBytes}, end));
    at = end;
  }`;

export function soundTransform(): Transform {
  const byHand = `'${process.execPath}' -e '${byHandProgram}'`;
  return blockTransform(plainFormat, { suffix: '.plain', byHand, blockSize: fakeBlock });
}

function fake(
  fails: string,
  does: string,
  change: (inner: Transform) => Partial<Transform>,
): BrokenTransform {
  const inner = soundTransform();
  return { does, fails, transform: { ...inner, ...change(inner) } };
}

/** Changes what goes into encode. */
function before(inner: Transform, change: (body: Body) => Body): Partial<Transform> {
  return { encode: (body, about, context) => inner.encode(change(body), about, context) };
}

/** Changes what goes into decode. */
function beforeDecode(inner: Transform, change: (body: Body) => Body): Partial<Transform> {
  return { decode: (body, parameters, context) => inner.decode(change(body), parameters, context) };
}

/** Changes what comes out of decode. */
function afterDecode(inner: Transform, change: (body: Body) => Body): Partial<Transform> {
  return { decode: (body, parameters, context) => change(inner.decode(body, parameters, context)) };
}

function changeFirst(change: (chunk: Buffer) => Uint8Array): (body: Body) => Body {
  return async function* changed(body) {
    let first = true;
    for await (const chunk of body) {
      yield first ? change(Buffer.from(chunk)) : chunk;
      first = false;
    }
  };
}

async function* endedByErrors(body: Body): Body {
  try {
    yield* body;
  } catch {
    // As a pipe does when its producer dies.
  }
}

async function* wholeFirst(body: Body): Body {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  yield* chunks;
}

/** Its iterator cannot be closed. */
function unclosable(body: Body): Body {
  return {
    [Symbol.asyncIterator]() {
      const chunks = body[Symbol.asyncIterator]();
      return { next: () => chunks.next() };
    },
  };
}

function deaf(context: Context): Context {
  return { ...context, signal: new AbortController().signal };
}

const shared = Buffer.alloc(fakeBlock * 2);

export const brokenTransforms: readonly BrokenTransform[] = [
  fake('empty body', 'makes a byte out of nothing', (inner) =>
    afterDecode(inner, async function* atLeastOne(body) {
      let bytes = 0;
      for await (const chunk of body) {
        bytes += chunk.length;
        yield chunk;
      }
      if (bytes === 0) yield Buffer.alloc(1);
    }),
  ),
  fake('body of one byte', 'alters a body of one byte', (inner) =>
    afterDecode(
      inner,
      changeFirst((chunk) => (chunk.length === 1 ? Buffer.from([chunk[0]! ^ 1]) : chunk)),
    ),
  ),
  fake('large body', 'alters a byte far behind', (inner) =>
    afterDecode(inner, async function* altered(body) {
      let bytes = 0;
      for await (const chunk of body) {
        const at = fakeLargeBytes - 100 - bytes;
        bytes += chunk.length;
        if (at >= 0 && at < chunk.length) chunk[at] = chunk[at]! ^ 1;
        yield chunk;
      }
    }),
  ),
  fake('odd chunks', 'takes an empty chunk for the end', (inner) =>
    before(inner, async function* untilEmpty(body) {
      for await (const chunk of body) {
        if (chunk.length === 0) return;
        yield chunk;
      }
    }),
  ),
  fake('several at once', 'has one buffer for all bodies', (inner) =>
    before(inner, async function* copied(body) {
      for await (const chunk of body) {
        shared.set(chunk.subarray(0, shared.length));
        await turn();
        yield chunk.length > shared.length ? chunk : Buffer.from(shared.subarray(0, chunk.length));
      }
    }),
  ),
  fake('decodes by hand', 'names a command that decodes nothing', () => ({ byHand: () => 'cat' })),
  fake('decodes by hand', 'names a command that fails', (inner) => ({
    byHand: () => `${inner.byHand({})} && exit 3`,
  })),
  fake('cut input', 'ends well where it was cut between blocks', (inner) => ({
    async *decode(body: Body, parameters: JsonObject, context: Context): Body {
      let bytes = 0;
      try {
        for await (const chunk of inner.decode(body, parameters, context)) {
          bytes += chunk.length;
          yield chunk;
        }
      } catch (error) {
        if (bytes === 0 || !(error instanceof PgsiloError) || !error.message.includes('before its end mark'))
          throw error;
      }
    },
  })),
  fake('altered input', 'does not look at the first byte', (inner) =>
    beforeDecode(
      inner,
      changeFirst((chunk) => {
        if (chunk.toString('latin1', 1, 3) === 'SB') chunk[0] = 'P'.charCodeAt(0);
        return chunk;
      }),
    ),
  ),
  fake('rearranged input', 'takes a doubled block for one', (inner) =>
    beforeDecode(
      inner,
      changeFirst((chunk) => {
        if (chunk.length < fakeBlock || chunk.toString('latin1', 0, 4) !== 'PSB1') return chunk;
        const length = markBytes + chunk.readUInt32LE(12);
        return chunk.subarray(0, length).equals(chunk.subarray(length, 2 * length))
          ? chunk.subarray(length)
          : chunk;
      }),
    ),
  ),
  fake('input with more behind it', 'does not look behind the end', (inner) =>
    beforeDecode(
      inner,
      changeFirst((chunk) => {
        const end = chunk.indexOf('PSE1');
        return end < 0 ? chunk : chunk.subarray(0, end + markBytes);
      }),
    ),
  ),
  fake('foreign input', 'passes on what it does not know', (inner) => ({
    async *decode(body: Body, parameters: JsonObject, context: Context): Body {
      const chunks = body[Symbol.asyncIterator]();
      const first = await chunks.next();
      if (!first.done && Buffer.from(first.value).toString('latin1', 0, 5) === 'PGDMP')
        return yield first.value;
      async function* again(): Body {
        try {
          if (!first.done) yield first.value;
          for (let next = first; !next.done;) {
            next = await chunks.next();
            if (!next.done) yield next.value;
          }
        } finally {
          await chunks.return?.();
        }
      }
      yield* inner.decode(again(), parameters, context);
    },
  })),
  fake('errors of the input', 'takes an error for the end in encode', (inner) =>
    before(inner, endedByErrors),
  ),
  fake('errors of the input', 'takes an error for the end in decode', (inner) =>
    beforeDecode(inner, endedByErrors),
  ),
  fake('errors of the input', 'throws an error of its own instead', (inner) =>
    before(inner, async function* wrapped(body) {
      try {
        yield* body;
      } catch (cause) {
        throw new PgsiloError('internal', 'cannot compress', { cause });
      }
    }),
  ),
  fake('memory of encode', 'gathers the body before it encodes', (inner) => before(inner, wholeFirst)),
  fake('memory of decode', 'gathers the body before it decodes', (inner) => beforeDecode(inner, wholeFirst)),
  fake('early stop', 'leaves the input of encode open', (inner) => before(inner, unclosable)),
  fake('early stop', 'leaves the input of decode open', (inner) => beforeDecode(inner, unclosable)),
  fake('abort', 'does not hear an abort in encode', (inner) => ({
    encode: (body, about, context) => inner.encode(body, about, deaf(context)),
  })),
  fake('abort', 'does not hear an abort in decode', (inner) => ({
    decode: (body, parameters, context) => inner.decode(body, parameters, deaf(context)),
  })),
  fake('suffix and parameters', 'has a suffix without a dot', () => ({ suffix: 'plain' })),
  fake('suffix and parameters', 'has parameters that are no plain data', (inner) => ({
    async encode(body, about, context) {
      const encoded = await inner.encode(body, about, context);
      return { ...encoded, parameters: { ...encoded.parameters, at: new Date(0) as unknown as string } };
    },
  })),
];
