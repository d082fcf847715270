import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Body } from '@pgsilo/plugin';
import { bodyOf, collect, dumpLikeBody, inOddChunks, randomBody, sha256Of } from '../bodies.ts';
import { broken, mustEqual } from './check.ts';
import { decodeBytes, encodeBytes, identity, transformCheck } from './transform-subject.ts';
import type { TransformCheck, TransformUnderCheck } from './transform-subject.ts';

const mebibyte = 1024 * 1024;

async function mustComeBack(
  subject: TransformUnderCheck,
  wanted: Buffer,
  chunked: (body: Body) => Body = (body) => body,
): Promise<void> {
  const { transform, context } = subject;
  const { bytes, parameters } = await encodeBytes(subject, chunked(bodyOf(wanted)));
  const seen = await collect(transform.decode(chunked(bodyOf(bytes)), parameters, context));
  mustEqual(seen.length, wanted.length, `length of what came back of ${wanted.length} bytes`);
  if (!seen.equals(wanted)) broken(`${wanted.length} bytes came back as others`);
}

export const transformFaithfulChecks: readonly TransformCheck[] = [
  transformCheck(
    {
      name: 'empty body',
      promise: 'A body of no bytes comes back as one of no bytes.',
      reason: 'Empty artifacts are backed up too.',
    },
    (subject) => mustComeBack(subject, Buffer.alloc(0)),
  ),
  transformCheck(
    {
      name: 'body of one byte',
      promise: 'A body of one byte comes back.',
      reason: 'The shortest body has the largest share of framing.',
    },
    (subject) => mustComeBack(subject, Buffer.from([0])),
  ),
  transformCheck(
    {
      name: 'large body',
      promise: 'A body of many blocks comes back, byte for byte.',
      reason: 'A restored database must be the one that was backed up.',
    },
    async ({ transform, context, largeBytes = 64 * mebibyte }) => {
      // Dump-like and random parts: what shrinks and what does not take different ways through a compressor.
      async function* body(): Body {
        yield* dumpLikeBody(Math.floor(largeBytes / 2));
        yield* randomBody(Math.ceil(largeBytes / 2));
      }
      const encoded = await transform.encode(body(), identity, context);
      const seen = await sha256Of(transform.decode(encoded.body, encoded.parameters, context));
      mustEqual(seen, await sha256Of(body()), `SHA-256 of what came back of ${largeBytes} bytes`);
    },
  ),
  transformCheck(
    {
      name: 'odd chunks',
      promise:
        'How a body is cut into chunks makes no difference, in either direction; empty chunks are nothing.',
      reason: 'Pipes and stores cut bodies wherever they like.',
    },
    async (subject) => {
      await mustComeBack(subject, await collect(dumpLikeBody(2 * mebibyte + 17)), inOddChunks);
      const { bytes, parameters } = await encodeBytes(subject, bodyOf('', 'one', '', ' by one', ''));
      const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
      const seen = await collect(subject.transform.decode(bodyOf(...single), parameters, subject.context));
      mustEqual(String(seen), 'one by one', 'what came back byte by byte');
    },
  ),
  transformCheck(
    {
      name: 'several at once',
      promise: 'Bodies that are encoded and decoded at the same time do not touch each other.',
      reason: 'Jobs run in parallel: one tenant would get rows of another.',
    },
    async (subject) => {
      const bodies = await Promise.all([1, 2, 3].map((seed) => collect(dumpLikeBody(300_000, seed))));
      const encoded = await Promise.all(
        bodies.map((body) => encodeBytes(subject, bodyOf(body.subarray(0, 70_000), body.subarray(70_000)))),
      );
      const decoded = await Promise.all(
        encoded.map(({ bytes, parameters }) => decodeBytes(subject, bytes, parameters)),
      );
      decoded.forEach((seen, index) => {
        if (!seen.equals(bodies[index]!)) broken(`body ${index + 1} of 3 came back as another`);
      });
    },
  ),
  transformCheck(
    {
      name: 'decodes by hand',
      promise: 'The command of byHand, given the encoded bytes on standard input, prints the original ones.',
      reason: 'Backups outlive tools: they must be readable without pgsilo.',
    },
    async (subject) => {
      const wanted = await collect(dumpLikeBody(subject.severalBlocks ?? 5 * mebibyte));
      for (const original of [wanted, Buffer.alloc(0)]) {
        const { bytes, parameters } = await encodeBytes(subject, bodyOf(original));
        const command = subject.transform.byHand(parameters);
        const { status, output, complaint } = await runByHand(command, bytes, subject.environment);
        if (status === 127) return `not installed here: ${command}`;
        mustEqual(status, 0, `exit status of ${command} (${complaint.trim()})`);
        if (!output.equals(original))
          broken(`${command} printed ${output.length} bytes, not the ${original.length} original ones`);
      }
      return undefined;
    },
  ),
];

interface ByHandOutcome {
  readonly status: number | null;
  readonly output: Buffer;
  readonly complaint: string;
}

/** In a shell, because that is where a person pastes it. */
async function runByHand(
  command: string,
  input: Buffer,
  environment?: Readonly<Record<string, string>>,
): Promise<ByHandOutcome> {
  const child = spawn('/bin/sh', ['-c', command], { env: { ...process.env, ...environment } });
  const exit = once(child, 'close');
  // A command that refuses its input closes it; its exit status then says so.
  const fed = pipeline(Readable.from([input]), child.stdin).catch(() => {});
  const [output, complaint] = await Promise.all([collect(child.stdout), collect(child.stderr), fed]);
  const [status] = (await exit) as [number | null];
  return { status, output, complaint: String(complaint) };
}
