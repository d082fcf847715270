import type { Body, Sink } from '@pgsilo/plugin';
import { bodyOf, gatedBody, randomBody, sha256Of } from '../bodies.ts';
import { mustEqual, mustReject, settle, within } from './check.ts';
import { putTrials, sinkCheck, uploadDeadline } from './sink-subject.ts';
import type { PutTrial, SinkCheck } from './sink-subject.ts';

const artifact = { kind: 'artifact' } as const;

/** Of writers of one key, the one that loses. */
export const sinkRivalChecks: readonly SinkCheck[] = [
  sinkCheck(
    {
      name: 'second put is refused',
      promise: 'When the key exists, put throws sink.exists and leaves the first object as it was.',
      reason: 'A re-run, a second pgsilo or an attacker could replace a good backup.',
    },
    async (subject) => {
      const { sink } = subject;
      for (const { key, bytes, context } of putTrials(subject)) {
        const first = bytes - 1;
        await sink.put(key, randomBody(first, 1), artifact, context);
        const second = sink.put(key, randomBody(bytes, 2), artifact, context);
        await mustReject(second, 'sink.exists', `a second put, of ${bytes} bytes`);
        const content = await sha256Of(sink.get(key, undefined, context));
        mustEqual(content, await sha256Of(randomBody(first, 1)), 'SHA-256 after a refused put');
        mustEqual((await sink.stat(key, context)).bytes, first, 'size after a refused put');
      }
    },
  ),
  sinkCheck(
    {
      name: 'two writers, one winner',
      promise:
        'Of two puts of one key at once exactly one succeeds, and its object is the one that is there.',
      reason: 'Two runs at once would mix their artifacts under one manifest.',
    },
    async (subject) => {
      for (const trial of putTrials(subject)) await mustHaveOneWinner(subject.sink, trial);
    },
  ),
];

async function mustHaveOneWinner(sink: Sink, trial: PutTrial): Promise<void> {
  const { key, bytes, context } = trial;
  const first = rival(sink, trial, 1);
  const rivals = [first];
  try {
    await first.half;
    const second = rival(sink, trial, 2);
    rivals.push(second);
    // Each sends some parts after the other's: were they kept in one place, both objects would be mixed.
    second.goOn();
    await second.ready;
    first.goOn();
    await first.ready;
  } finally {
    for (const { goOn, finish } of rivals) {
      goOn();
      finish();
    }
    await Promise.all(rivals.map(({ done }) => done));
  }
  const outcomes = await Promise.all(rivals.map(async ({ seed, done }) => ({ seed, outcome: await done })));
  const winners = outcomes.filter(({ outcome }) => 'value' in outcome);
  const loser = outcomes.find(({ outcome }) => 'error' in outcome)?.outcome;
  if (winners.length === 0 && loser && 'error' in loser) throw loser.error;
  mustEqual(winners.length, 1, `number of puts of ${bytes} bytes that succeeded`);
  const lost = loser && 'error' in loser ? Promise.reject(loser.error) : Promise.resolve();
  await mustReject(lost, 'sink.exists', `the put of ${bytes} bytes that lost`);
  const content = await sha256Of(sink.get(key, undefined, context));
  const wanted = await sha256Of(whole(bytes, winners[0]!.seed));
  mustEqual(content, wanted, `SHA-256 of what two writers of ${bytes} bytes left`);
}

/** A put that waits when half of its body was taken, and before the last bytes of it. A sink may refuse it sooner. */
function rival(sink: Sink, { key, bytes, context }: PutTrial, seed: number) {
  const [begin, middle, end] = thirds(bytes, seed);
  const later = gatedBody(middle, end);
  const { body, reached, open } = gatedBody(begin, later.body);
  const done = settle(sink.put(key, body, artifact, context));
  const until = (moment: Promise<void>): Promise<unknown> =>
    within(uploadDeadline, `one of two puts of ${bytes} bytes`, Promise.race([moment, done]));
  return {
    seed,
    done,
    get half() {
      return until(reached);
    },
    get ready() {
      return until(later.reached);
    },
    goOn: open,
    finish: later.open,
  };
}

function thirds(bytes: number, seed: number): readonly [Body, Body, Body] {
  const half = Math.floor(bytes / 2);
  return [randomBody(half, seed), randomBody(bytes - half, seed + 10), bodyOf(`writer ${seed}`)];
}

async function* whole(bytes: number, seed: number): Body {
  for (const part of thirds(bytes, seed)) yield* part;
}
