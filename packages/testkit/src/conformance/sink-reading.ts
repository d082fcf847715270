import { setTimeout as sleep } from 'node:timers/promises';
import { bodyOf, collect, randomBody } from '../bodies.ts';
import { abortable, broken, mustEqual, mustReject, within } from './check.ts';
import { heldBytes, mustHaveClosed, openResources } from './resources.ts';
import { listAll, sinkCheck } from './sink-subject.ts';
import type { SinkCheck } from './sink-subject.ts';

const artifact = { kind: 'artifact' } as const;
const mebibyte = 1024 * 1024;

export const sinkReadingChecks: readonly SinkCheck[] = [
  sinkCheck(
    {
      name: 'missing object',
      promise: 'get and stat of a key that is not there throw sink.not-found.',
      reason: 'The engine tells a missing object from a broken store by the code alone.',
    },
    async ({ sink, prefix, context }) => {
      await mustReject(sink.stat(`${prefix}no/such`, context), 'sink.not-found', 'stat of a missing object');
      await mustReject(
        collect(sink.get(`${prefix}no/such`, undefined, context)),
        'sink.not-found',
        'get of a missing object',
      );
      const range = { offset: 0, length: 1 };
      await mustReject(
        collect(sink.get(`${prefix}no/such`, range, context)),
        'sink.not-found',
        'get of a range of a missing object',
      );
      await sink.put(`${prefix}folder/object`, bodyOf('x'), artifact, context);
      await mustReject(
        sink.stat(`${prefix}folder`, context),
        'sink.not-found',
        'stat of what is only the beginning of a key',
      );
    },
  ),
  sinkCheck(
    {
      name: 'ranges',
      promise: 'get gives exactly the bytes of a range.',
      reason: 'One tenant is read out of the middle of a large archive.',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}ranged`;
      const whole = await collect(randomBody(300_000));
      await sink.put(key, bodyOf(whole), artifact, context);
      for (const [offset, length] of [
        [0, 1],
        [0, 300_000],
        [65_535, 2],
        [100_000, 150_001],
        [299_999, 1],
      ] as const) {
        const seen = await collect(sink.get(key, { offset, length }, context));
        mustEqual(seen.length, length, `length of the range of ${length} bytes from ${offset}`);
        if (!seen.equals(whole.subarray(offset, offset + length)))
          broken(`the range of ${length} bytes from ${offset} has other bytes`);
      }
    },
  ),
  sinkCheck(
    {
      name: 'short range',
      promise: 'A range that reaches beyond the object throws sink.corrupt; it does not end early.',
      reason: 'A cut object would be read as if it were whole.',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}short`;
      await sink.put(key, bodyOf('0123456789'), artifact, context);
      for (const [offset, length] of [
        [5, 6],
        [0, 11],
        [10, 1],
        [100, 5],
      ] as const) {
        const read = collect(sink.get(key, { offset, length }, context));
        await mustReject(read, 'sink.corrupt', `reading ${length} bytes from ${offset} of an object of 10`);
      }
    },
  ),
  sinkCheck(
    {
      name: 'slow reader',
      promise: 'A reader that pauses holds up the store; what it has not read is not gathered in memory.',
      reason: 'A restore of a large database would take as much memory as the database.',
      cost: 'heavy',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}large`;
      const bytes = 32 * mebibyte;
      await sink.put(key, randomBody(bytes), artifact, context);
      const before = await heldBytes();
      const own = {
        ...context,
        memory: Math.min(context.memory, 4 * mebibyte),
        scratch: () => context.scratch(),
      };
      const most = own.memory + 8 * mebibyte;
      let read = 0;
      let paused = 0;
      for await (const chunk of sink.get(key, undefined, own)) {
        const first = read === 0;
        read += chunk.length;
        if (first || (read > bytes / 2 && paused < 2)) {
          paused += 1;
          await sleep(100);
          const grown = (await heldBytes()) - before;
          if (grown > most)
            broken(
              `while its reader paused, get held ${Math.round(grown / mebibyte)} MiB of an object of 32 MiB`,
            );
        }
      }
      if (read === 0) broken('nothing was read of an object of 32 MiB');
    },
  ),
  sinkCheck(
    {
      name: 'early stop of a read',
      promise: 'When a reader stops early, what get opened is closed.',
      reason: 'Files and connections would run out while many backups are verified.',
      cost: 'heavy',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}large`;
      await sink.put(key, randomBody(4 * mebibyte), artifact, context);
      const before = openResources();
      for (let turn = 0; turn < 5; turn += 1) {
        const read = sink.get(key, undefined, context)[Symbol.asyncIterator]();
        await read.next();
        await within(5_000, 'closing a read', Promise.resolve(read.return?.()));
      }
      await mustHaveClosed(before, 'reads that were stopped early');
    },
  ),
  sinkCheck(
    {
      name: 'calls after an abort',
      promise: 'Every call whose signal is aborted throws the reason.',
      reason: 'An interrupted command would go on working, or report what it did not do.',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}kept`;
      await sink.put(key, bodyOf('kept'), artifact, context);
      const { context: own, abort } = abortable(context);
      abort();
      await mustReject(sink.stat(key, own), 'aborted', 'stat after an abort');
      await mustReject(collect(sink.get(key, undefined, own)), 'aborted', 'get after an abort');
      await mustReject(listAll(sink, prefix, own), 'aborted', 'list after an abort');
      await mustReject(sink.put(`${prefix}new`, bodyOf('x'), artifact, own), 'aborted', 'put after an abort');
      await mustReject(sink.remove([key], own), 'aborted', 'remove after an abort');
    },
  ),
];
