import { availableParallelism } from 'node:os';
import type { Context } from '@pgsilo/plugin';
import type { Pipeline } from './pipeline.ts';
import { openScratch } from './scratch.ts';
import type { Scratch } from './scratch.ts';

/** What one call of the engine (a backup, a verify, a restore) shares among all that it calls. */
export interface EngineSession {
  readonly pipeline: Pipeline;
  readonly signal: AbortSignal;
  readonly scratch: Scratch;
  /** The context of a plugin's call. `share` is its part of the memory budget: 1 is all of it. */
  context(share?: number, signal?: AbortSignal): Context;
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
  return {
    pipeline,
    signal,
    scratch,
    context(share = 1, callSignal = signal) {
      return {
        signal: callSignal,
        log: pipeline.log,
        clock: pipeline.clock,
        memory: Math.max(1, Math.floor(pipeline.limits.memory * share)),
        parallel: availableParallelism(),
        scratch: (bytes) => scratch.folder(bytes),
      };
    },
  };
}
