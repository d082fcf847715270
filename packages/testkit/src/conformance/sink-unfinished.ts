import { setTimeout as sleep } from 'node:timers/promises';
import type { Body } from '@pgsilo/plugin';
import { bodyOf, collect, gatedBody, randomBody, sha256Of, throwingBody } from '../bodies.ts';
import { abortable, broken, mustEqual, mustReject, mustRejectWith, settle, within } from './check.ts';
import { keysUnder, putTrials, sinkCheck, uploadDeadline } from './sink-subject.ts';
import type { PutTrial, SinkCheck, SinkUnderCheck } from './sink-subject.ts';

const artifact = { kind: 'artifact' } as const;
/** An abort that takes longer is not prompt; milliseconds. */
const prompt = 5_000;
/** For what was written to a connection to arrive where it shows; milliseconds. */
const underway = 50;

/** By what error is another check's concern. */
async function mustBeAbsent({ sink, context }: SinkUnderCheck, key: string, when: string): Promise<void> {
  mustEqual(await keysUnder(sink, key, context), [], `keys listed ${when}`);
  if ('value' in (await settle(sink.stat(key, context)))) broken(`stat finds an object ${when}`);
  const read = await settle(collect(sink.get(key, undefined, context)));
  if ('value' in read && read.value.length > 0) broken(`get gives ${read.value.length} bytes ${when}`);
}

/** An object of which all but the last bytes were taken, and as much sent as has to be. */
async function begun({ sink }: SinkUnderCheck, { key, bytes, context }: PutTrial) {
  const { body, reached, open } = gatedBody(randomBody(bytes), Buffer.from('the rest'));
  const put = settle(sink.put(key, body, artifact, context));
  try {
    await within(uploadDeadline, `reading ${bytes} bytes of a body`, Promise.race([reached, put]));
  } catch (error) {
    open();
    throw error;
  }
  await sleep(underway);
  return { put, open };
}

async function* afterAWhile(body: Body): Body {
  yield* body;
  await sleep(underway);
}

/** What bodies that never became objects leave. */
export const sinkUnfinishedChecks: readonly SinkCheck[] = [
  sinkCheck(
    {
      name: 'invisible until whole',
      promise: 'While its body is still coming, an object is seen by nobody.',
      reason: 'A reader would take a half-written object for a whole one.',
    },
    async (subject) => {
      for (const trial of putTrials(subject)) {
        const { key, bytes, context } = trial;
        const { put, open } = await begun(subject, trial);
        try {
          await mustBeAbsent(subject, key, `while an object of ${bytes} bytes is being written`);
        } finally {
          open();
          await put;
        }
        mustEqual((await subject.sink.stat(key, context)).bytes, bytes + 8, 'size afterwards');
      }
    },
  ),
  sinkCheck(
    {
      name: 'body that throws',
      promise:
        'When the body throws half-way, put throws that very error and leaves no key; the key can be written afterwards.',
      reason: 'A dump that died would be stored, cut, as a good one.',
    },
    async (subject) => {
      const { sink } = subject;
      const error = new Error('the producer exited with status 1');
      for (const { key, bytes, context } of putTrials(subject)) {
        // Not with the last chunk: by then nothing may have been sent.
        const begin = afterAWhile(randomBody(bytes));
        await mustRejectWith(
          sink.put(key, throwingBody(error, begin), artifact, context),
          error,
          `a put whose body throws after ${bytes} bytes`,
        );
        await mustBeAbsent(subject, key, `after a body that threw after ${bytes} bytes`);
        await mustRejectWith(
          sink.put(key, throwingBody(error, bodyOf()), artifact, context),
          error,
          'a put whose body throws at once',
        );
        await mustBeAbsent(subject, key, 'after a body that threw at once');
        await sink.put(key, bodyOf('now'), artifact, context);
        const content = String(await collect(sink.get(key, undefined, context)));
        mustEqual(content, 'now', `content of a put after one whose body threw after ${bytes} bytes`);
      }
    },
  ),
  sinkCheck(
    {
      name: 'abort of a put',
      promise:
        'When the signal is aborted, put ends promptly with the reason and leaves no key, even if its body stalls; the key can be written afterwards.',
      reason: 'Ctrl-C or a time-out would hang, or leave an object that nobody wanted.',
    },
    async (subject) => {
      const { sink } = subject;
      for (const trial of putTrials(subject)) {
        const { key, bytes, context } = trial;
        const { context: own, abort } = abortable(context);
        const { put, open } = await begun(subject, { ...trial, context: own });
        abort();
        try {
          const outcome = await within(prompt, `a put of ${bytes} bytes after its abort`, put);
          if ('value' in outcome) broken('a put that was aborted must throw, but it succeeded');
          await mustReject(Promise.reject(outcome.error), 'aborted', 'a put that was aborted');
          await mustBeAbsent(subject, key, `after an abort when ${bytes} bytes had been taken`);
        } finally {
          open();
        }
        await sink.put(key, randomBody(bytes, 2), artifact, context);
        const content = await sha256Of(sink.get(key, undefined, context));
        mustEqual(content, await sha256Of(randomBody(bytes, 2)), 'SHA-256 of a put after an abort');
      }
    },
  ),
  sinkCheck(
    {
      name: 'sweep spares the living',
      promise: 'sweep touches neither objects nor what a living writer is about to write.',
      reason: 'A prune would break a backup that has been running for a day.',
    },
    async (subject) => {
      const { sink, prefix, context } = subject;
      if (!sink.sweep) return 'the sink has no sweep: it leaves nothing unfinished';
      const whole = `${prefix}whole`;
      await sink.put(whole, bodyOf('whole'), artifact, context);
      const keys = [whole];
      // As the engine asks; a later moment could reach what others are writing to the same store.
      const weekAgo = new Date(Date.now() - 7 * 86_400_000);
      for (const trial of putTrials(subject)) {
        const { put, open } = await begun(subject, trial);
        try {
          await sink.sweep(prefix, weekAgo, context);
        } finally {
          open();
        }
        const outcome = await put;
        if ('error' in outcome)
          broken(`a sweep broke an object of ${trial.bytes} bytes that was being written`, outcome.error);
        keys.push(trial.key);
        mustEqual(await keysUnder(sink, prefix, context), keys.toSorted(), 'keys after a sweep');
      }
      return undefined;
    },
  ),
];
