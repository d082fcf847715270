import { bodyOf, collect, inOddChunks, randomBody } from '../bodies.ts';
import { broken, mustEqual } from './check.ts';
import { eagerBody } from './sink-eager-body.ts';
import { keysUnder, largeBytesOf, sinkCheck } from './sink-subject.ts';
import type { SinkCheck, SinkUnderCheck } from './sink-subject.ts';

const artifact = { kind: 'artifact' } as const;
const mebibyte = 1024 * 1024;

async function mustRoundTrip({ sink, prefix, context }: SinkUnderCheck, bytes: number): Promise<void> {
  const key = `${prefix}object`;
  const wanted = await collect(randomBody(bytes));
  await sink.put(key, inOddChunks(bodyOf(wanted)), artifact, context);
  const seen = await collect(sink.get(key, undefined, context));
  mustEqual(seen.length, bytes, `length of what was read of ${bytes} bytes`);
  if (!seen.equals(wanted)) broken(`the ${bytes} bytes that were read are not those that were written`);
}

export const sinkWritingChecks: readonly SinkCheck[] = [
  sinkCheck(
    {
      name: 'read after write',
      promise:
        'An object is there for get, stat and list as soon as put has resolved, and put tells its size.',
      reason: 'A manifest that follows its artifacts would name objects that a reader does not find.',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}a/object.txt`;
      const stored = await sink.put(key, bodyOf('first ', 'and second'), { kind: 'manifest' }, context);
      mustEqual(stored.bytes, 16, 'size that put returned');
      mustEqual(String(await collect(sink.get(key, undefined, context))), 'first and second', 'content');
      const info = await sink.stat(key, context);
      mustEqual([info.key, info.bytes], [key, 16], 'key and size by stat');
      if (Number.isNaN(info.modified.getTime())) broken('stat gives no time of modification');
      mustEqual(await keysUnder(sink, prefix, context), [key], 'keys listed');
    },
  ),
  sinkCheck(
    {
      name: 'empty body',
      promise: 'An object of no bytes is an object.',
      reason: 'An empty artifact would be lost, and its backup with it.',
    },
    (subject) => mustRoundTrip(subject, 0),
  ),
  sinkCheck(
    {
      name: 'body of one byte',
      promise: 'A body of one byte is stored as it is.',
      reason: 'Short bodies take another way through many stores.',
    },
    (subject) => mustRoundTrip(subject, 1),
  ),
  sinkCheck(
    {
      name: 'body of many parts',
      promise: 'A body that takes several requests is stored whole and in order, whatever its chunks.',
      reason: 'A lost or exchanged part is a damaged backup that nobody sees until it is needed.',
      cost: 'heavy',
    },
    (subject) => mustRoundTrip(subject, largeBytesOf(subject) + 12_345),
  ),
  sinkCheck(
    {
      name: 'slow store',
      promise:
        'put takes no more of its body than it may hold before the store has taken it: a slow store holds up the body.',
      reason: 'Backups of large databases to a slow store would take as much memory as the databases.',
      cost: 'heavy',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}long`;
      const memory = Math.min(context.memory, 4 * mebibyte);
      const own = { ...context, memory, scratch: (bytes?: number) => context.scratch(bytes) };
      const body = await eagerBody(32 * mebibyte, memory + 8 * mebibyte);
      await sink.put(key, body.body, artifact, own);
      await body.mustHaveWaited();
    },
  ),
];
