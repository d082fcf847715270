import { describe, expect, it } from 'vitest';
import type { Sink } from '@pgsilo/plugin';
import type { RunEvent } from '../src/events.ts';
import { meetSinks } from '../src/first-contact.ts';
import { RunState } from '../src/run-state.ts';
import { withSession } from '../src/session.ts';
import { fakePipeline, fakeSource } from './fakes.ts';
import { memorySink } from './memory-sink.ts';

const never = (): Promise<never> => new Promise(() => undefined);

async function meet(sinks: Record<string, Sink>): Promise<{ left: string[]; events: RunEvent[] }> {
  const { signal } = new AbortController();
  const events: RunEvent[] = [];
  const pipeline = fakePipeline(fakeSource(), sinks, { optional: ['deaf'] });
  const left = await withSession(pipeline, signal, async (session) => {
    const observe = (event: RunEvent): void => void events.push(event);
    const state = new RunState({ session, run: '20261121T020000Z-7f3a9c', signal, labels: {}, observe });
    await meetSinks(state, 50);
    return state.sinks.map(({ name }) => name);
  });
  return { left, events };
}

describe('the first question to each sink', () => {
  it('drops one that never answers, also one that hears no signal, and keeps the others', async () => {
    const { left, events } = await meet({ near: memorySink(), deaf: { ...memorySink(), stat: never } });
    expect(left).toEqual(['near']);
    expect(events).toMatchObject([
      { type: 'sink-dropped', sink: 'deaf', forRun: true, error: { code: 'sink.unreachable' } },
    ]);
  });

  it('leaves it to later calls to find out what else is wrong', async () => {
    const broken = { ...memorySink(), stat: () => Promise.reject(new Error('broken')) };
    expect((await meet({ near: memorySink(), broken })).left).toEqual(['near', 'broken']);
  });
});
