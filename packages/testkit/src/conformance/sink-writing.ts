import { setTimeout as sleep } from 'node:timers/promises';
import { bodyOf, collect, gatedBody, inOddChunks, randomBody, stalledBody, throwingBody } from '../bodies.ts';
import { abortable, broken, mustEqual, mustReject, mustRejectWith, settle, within } from './check.ts';
import { keysUnder, sinkCheck } from './sink-subject.ts';
import type { SinkCheck, SinkUnderCheck } from './sink-subject.ts';

const artifact = { kind: 'artifact' } as const;
/** An abort that takes longer is not prompt; milliseconds. */
const prompt = 5_000;

/** By what error is another check's concern. */
async function mustBeAbsent({ sink, context }: SinkUnderCheck, key: string, when: string): Promise<void> {
  mustEqual(await keysUnder(sink, key, context), [], `keys listed ${when}`);
  if ('value' in (await settle(sink.stat(key, context)))) broken(`stat finds an object ${when}`);
  const read = await settle(collect(sink.get(key, undefined, context)));
  if ('value' in read && read.value.length > 0) broken(`get gives ${read.value.length} bytes ${when}`);
}

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
    (subject) => mustRoundTrip(subject, (subject.largeBytes ?? 17 * 1024 * 1024) + 12_345),
  ),
  sinkCheck(
    {
      name: 'second put is refused',
      promise: 'When the key exists, put throws sink.exists and leaves the first object as it was.',
      reason: 'A re-run, a second pgsilo or an attacker could replace a good backup.',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}once`;
      await sink.put(key, bodyOf('the first'), artifact, context);
      await mustReject(
        sink.put(key, bodyOf('a second one'), artifact, context),
        'sink.exists',
        'a second put',
      );
      mustEqual(
        String(await collect(sink.get(key, undefined, context))),
        'the first',
        'content after a refused put',
      );
      mustEqual((await sink.stat(key, context)).bytes, 9, 'size after a refused put');
    },
  ),
  sinkCheck(
    {
      name: 'two writers, one winner',
      promise:
        'Of two puts of one key at once exactly one succeeds, and its object is the one that is there.',
      reason: 'Two runs at once would mix their artifacts under one manifest.',
    },
    async ({ sink, prefix, context }) => {
      const key = `${prefix}contended`;
      const rivals = ['the one', 'the other'].map((text) => {
        const { body, reached, open } = gatedBody(Buffer.from(text), Buffer.from(' writer'));
        return {
          text: `${text} writer`,
          reached,
          open,
          done: settle(sink.put(key, body, artifact, context)),
        };
      });
      // A sink may refuse the second before it reads its body.
      await within(
        prompt,
        'two puts',
        Promise.all(rivals.map(({ reached, done }) => Promise.race([reached, done]))),
      );
      for (const { open } of rivals) open();
      const outcomes = await Promise.all(
        rivals.map(async ({ done, text }) => ({ text, outcome: await done })),
      );
      const winners = outcomes.filter(({ outcome }) => 'value' in outcome);
      const [first] = outcomes;
      if (winners.length === 0 && first && 'error' in first.outcome) throw first.outcome.error;
      mustEqual(winners.length, 1, 'number of puts that succeeded');
      const loser = outcomes.find(({ outcome }) => 'error' in outcome)!.outcome;
      await mustReject(
        'error' in loser ? Promise.reject(loser.error) : Promise.resolve(),
        'sink.exists',
        'the put that lost',
      );
      mustEqual(String(await collect(sink.get(key, undefined, context))), winners[0]!.text, 'content');
    },
  ),
  sinkCheck(
    {
      name: 'invisible until whole',
      promise: 'While its body is still coming, an object is seen by nobody.',
      reason: 'A reader would take a half-written object for a whole one.',
    },
    async (subject) => {
      const { sink, prefix, context } = subject;
      const key = `${prefix}half`;
      const { body, reached, open } = gatedBody(Buffer.alloc(200_000, 1), Buffer.from('the rest'));
      const put = settle(sink.put(key, body, artifact, context));
      await within(prompt, 'reading the first half of a body', Promise.race([reached, put]));
      await sleep(20);
      try {
        await mustBeAbsent(subject, key, 'while the object is being written');
      } finally {
        open();
        await put;
      }
      mustEqual((await sink.stat(key, context)).bytes, 200_008, 'size afterwards');
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
      const { sink, prefix, context } = subject;
      const key = `${prefix}failed`;
      const error = new Error('the producer exited with status 1');
      const begin = randomBody(Math.floor((subject.largeBytes ?? 17 * 1024 * 1024) / 2));
      await mustRejectWith(
        sink.put(key, throwingBody(error, begin), artifact, context),
        error,
        'a put whose body throws half-way',
      );
      await mustBeAbsent(subject, key, 'after a body that threw');
      await mustRejectWith(
        sink.put(key, throwingBody(error, bodyOf()), artifact, context),
        error,
        'a put whose body throws at once',
      );
      await mustBeAbsent(subject, key, 'after a body that threw at once');
      await sink.put(key, bodyOf('now'), artifact, context);
      mustEqual(String(await collect(sink.get(key, undefined, context))), 'now', 'content of a later put');
    },
  ),
  sinkCheck(
    {
      name: 'abort of a put',
      promise:
        'When the signal is aborted, put ends promptly with the reason and leaves no key, even if its body stalls.',
      reason: 'Ctrl-C or a time-out would hang, or leave an object that nobody wanted.',
    },
    async (subject) => {
      const { sink, prefix, context } = subject;
      const key = `${prefix}aborted`;
      const { context: own, abort } = abortable(context);
      const put = settle(sink.put(key, stalledBody(randomBody(300_000)), artifact, own));
      await sleep(50);
      abort();
      const outcome = await within(prompt, 'a put after its abort', put);
      if ('value' in outcome) broken('a put that was aborted must throw, but it succeeded');
      await mustReject(Promise.reject(outcome.error), 'aborted', 'a put that was aborted');
      await mustBeAbsent(subject, key, 'after an abort');
    },
  ),
  sinkCheck(
    {
      name: 'sweep spares the living',
      promise: 'sweep touches neither objects nor what a living writer is about to write.',
      reason: 'A prune would break a backup that has been running for a day.',
    },
    async ({ sink, prefix, context }) => {
      if (!sink.sweep) return 'the sink has no sweep: it leaves nothing unfinished';
      const whole = `${prefix}whole`;
      await sink.put(whole, bodyOf('whole'), artifact, context);
      const key = `${prefix}being-written`;
      const { body, reached, open } = gatedBody(Buffer.alloc(300_000, 1), Buffer.from('the rest'));
      const put = settle(sink.put(key, body, artifact, context));
      await within(prompt, 'reading the first half of a body', Promise.race([reached, put]));
      // As the engine asks; a later moment could reach what others are writing to the same store.
      const weekAgo = new Date(Date.now() - 7 * 86_400_000);
      try {
        await sink.sweep(prefix, weekAgo, context);
      } finally {
        open();
      }
      const outcome = await put;
      if ('error' in outcome) broken('a sweep broke an object that was being written', outcome.error);
      mustEqual(await keysUnder(sink, prefix, context), [key, whole], 'keys after a sweep');
      return undefined;
    },
  ),
];
