import { availableParallelism } from 'node:os';
import type { Body, Context } from '@pgsilo/plugin';
import type { Pipeline, PipelineSink } from './pipeline.ts';
import { openScratch } from './scratch.ts';
import type { Scratch } from './scratch.ts';
import { Throttle } from './throttle.ts';

/** What one call of the engine (a backup, a verify, a restore) shares among all that it calls. */
export interface EngineSession {
  readonly pipeline: Pipeline;
  readonly signal: AbortSignal;
  readonly scratch: Scratch;
  /** The context of a plugin's call. `share` is its part of the memory budget: 1 is all of it. */
  context(share?: number, signal?: AbortSignal): Context;
  /** The same body, no faster than the sink's limit allows. */
  throttled(sink: PipelineSink, body: Body, signal: AbortSignal): Body;
  /** Single calls and requests that were repeated so far. */
  readonly retries: { count: number };
}

/** Runs `work` with a session, and removes its scratch folder however it ends. */
export async function withSession<Result>(
  pipeline: Pipeline,
  signal: AbortSignal,
  work: (session: EngineSession) => Promise<Result>,
): Promise<Result> {
  const session = openSession(pipeline, signal);
  try {
    return await work(session);
  } finally {
    await session.scratch.remove();
  }
}

/** A session that the caller ends by `scratch.remove()`. */
export function openSession(pipeline: Pipeline, signal: AbortSignal): EngineSession {
  const scratch = openScratch(pipeline.scratch);
  // Asked of the system once: a call takes longer than reading a manifest.
  const parallel = availableParallelism();
  const retries = { count: 0 };
  const throttles = new Map<PipelineSink, Throttle>();
  for (const sink of pipeline.sinks)
    if (sink.bytesPerSecond !== undefined)
      throttles.set(sink, new Throttle(sink.bytesPerSecond, pipeline.clock));
  return {
    pipeline,
    signal,
    scratch,
    retries,
    throttled: (sink, body, callSignal) => throttles.get(sink)?.limit(body, callSignal) ?? body,
    context(share = 1, callSignal = signal) {
      return {
        signal: callSignal,
        log: pipeline.log,
        clock: pipeline.clock,
        memory: Math.max(1, Math.floor(pipeline.limits.memory * share)),
        parallel,
        retried: () => void (retries.count += 1),
        scratch: (bytes) => scratch.folder(bytes),
      };
    },
  };
}
