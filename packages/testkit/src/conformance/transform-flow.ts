import { createReadStream } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Body, Context } from '@pgsilo/plugin';
import { bodyOf, collect, dumpLikeBody, randomBody, throwingBody, watchedBody } from '../bodies.ts';
import { abortable, broken, mustEqual, mustReject, mustRejectWith, within } from './check.ts';
import { heldBytes } from './resources.ts';
import { encodeBytes, identity, transformCheck } from './transform-subject.ts';
import type { TransformCheck } from './transform-subject.ts';

const mebibyte = 1024 * 1024;
/** Beyond what the context allows: the runtime's own, and what the checks hold. */
const slack = 12 * mebibyte;
/** Larger than what both may hold together. */
const longBody = 64 * mebibyte;

export const transformFlowChecks: readonly TransformCheck[] = [
  transformCheck(
    {
      name: 'errors of the input',
      promise:
        'An error that the incoming body throws comes out as it is, also when it stands where the end should be.',
      reason:
        'A dump that printed everything and then failed would be stored as a good one; or nobody could tell why it failed.',
    },
    async (subject) => {
      const { transform, context } = subject;
      const error = new Error('the producer exited with status 1');
      for (const before of [0, 100, subject.severalBlocks ?? 5 * mebibyte]) {
        const encoding = transform.encode(throwingBody(error, dumpLikeBody(before)), identity, context);
        const read = encoding.then((encoded) => collect(encoded.body));
        await mustRejectWith(read, error, `encoding a body that throws after ${before} bytes`);
      }
      const { bytes, parameters } = await encodeBytes(subject, dumpLikeBody(100_000));
      for (const before of [0, Math.floor(bytes.length / 2), bytes.length]) {
        const input = throwingBody(error, bodyOf(bytes.subarray(0, before)));
        const read = collect(transform.decode(input, parameters, context));
        await mustRejectWith(
          read,
          error,
          `decoding a body that throws after ${before} of ${bytes.length} bytes`,
        );
      }
    },
  ),
  transformCheck(
    {
      name: 'memory of encode',
      promise: 'encode holds no more than context.memory, whatever the length of the body.',
      reason: 'Databases are larger than memory.',
    },
    async ({ transform, context }) => {
      const own = withLittleMemory(context);
      const encoded = await transform.encode(randomBody(longBody), identity, own);
      await mustStayWithin(encoded.body, own.memory + slack, 'encode');
    },
  ),
  transformCheck(
    {
      name: 'memory of decode',
      promise: 'decode holds no more than context.memory, whatever the length of the body.',
      reason: 'A backup could be written and never read.',
    },
    async ({ transform, context }) => {
      const own = withLittleMemory(context);
      const encoded = await transform.encode(randomBody(longBody), identity, own);
      // By way of a file, so that what encode holds is not counted.
      const path = join(await context.scratch(2 * longBody), 'encoded');
      await writeFile(path, encoded.body);
      try {
        await mustStayWithin(
          transform.decode(createReadStream(path), encoded.parameters, own),
          own.memory + slack,
          'decode',
        );
      } finally {
        await rm(path);
      }
    },
  ),
  transformCheck(
    {
      name: 'early stop',
      promise: 'When its reader stops, encode and decode close their input.',
      reason: 'Dumps would go on running, and files stay open, after a sink has failed.',
    },
    async (subject) => {
      const { transform, context, severalBlocks = 5 * mebibyte } = subject;
      const raw = watchedBody(randomBody(severalBlocks));
      const encoded = await transform.encode(raw.body, identity, context);
      await stopAfterOne(encoded.body);
      if (!raw.closed) broken('encode left its input open when its reader stopped');
      const whole = await encodeBytes(subject, randomBody(severalBlocks));
      const stored = watchedBody(bodyOf(...whole.chunks));
      await stopAfterOne(transform.decode(stored.body, whole.parameters, context));
      if (!stored.closed) broken('decode left its input open when its reader stopped');
    },
  ),
  transformCheck(
    {
      name: 'abort',
      promise: 'After an abort neither encode nor decode ends as if it had succeeded.',
      reason: 'An interrupted backup would be committed.',
    },
    async (subject) => {
      const { transform, context } = subject;
      const { bytes, parameters } = await encodeBytes(subject, dumpLikeBody(100_000));
      const { context: own, abort } = abortable(context);
      const encoded = await transform.encode(dumpLikeBody(100_000), identity, own);
      const decoded = transform.decode(bodyOf(bytes), parameters, own);
      abort();
      await mustReject(collect(encoded.body), 'aborted', 'encode after an abort');
      await mustReject(collect(decoded), 'aborted', 'decode after an abort');
    },
  ),
  transformCheck(
    {
      name: 'suffix and parameters',
      promise:
        'The suffix begins with a dot and is made of lower-case letters and digits; the parameters are plain data.',
      reason: 'They stand in keys and in manifests.',
    },
    async (subject) => {
      const { transform, context } = subject;
      if (!/^\.[a-z0-9]+$/.test(transform.suffix))
        broken(`the suffix ${JSON.stringify(transform.suffix)} cannot stand in a key`);
      const { parameters, body } = await transform.encode(bodyOf('x'), identity, context);
      mustEqual(JSON.parse(JSON.stringify(parameters)), parameters, 'parameters after a way through JSON');
      await collect(body);
    },
  ),
];

function withLittleMemory(context: Context): Context {
  return {
    ...context,
    memory: Math.min(context.memory, 8 * mebibyte),
    scratch: (bytes) => context.scratch(bytes),
  };
}

async function mustStayWithin(body: Body, most: number, what: string): Promise<void> {
  const before = await heldBytes();
  let passed = 0;
  let next = 8 * mebibyte;
  for await (const chunk of body) {
    passed += chunk.length;
    if (passed < next) continue;
    next += 8 * mebibyte;
    const grown = (await heldBytes()) - before;
    if (grown > most)
      broken(`after ${Math.round(passed / mebibyte)} MiB ${what} held ${Math.round(grown / mebibyte)} MiB`);
  }
  if (passed < longBody) broken(`${what} gave only ${passed} bytes for 64 MiB that no compressor shortens`);
}

async function stopAfterOne(body: Body): Promise<void> {
  const iterator = body[Symbol.asyncIterator]();
  await iterator.next();
  await within(5_000, 'closing a body', Promise.resolve(iterator.return?.()));
}
