import { PgsiloError } from '@pgsilo/plugin';
import { runBeginKey } from './keys.ts';
import type { PipelineSink } from './pipeline.ts';
import type { RunState } from './run-state.ts';

/** Milliseconds until a sink must have answered its first question. */
export const firstAnswer = 60_000;

/**
 * Asks each sink whether the run's marker is there, which it cannot be. One that takes the question and never answers takes no part in the run: each of its calls would be waited for, and
 * repeated, for many minutes, and no other sink would get a backup meanwhile. What else may be wrong with it shows by itself.
 */
export async function meetSinks(state: RunState, within: number = firstAnswer): Promise<void> {
  await Promise.all(
    state.sinks.map(async (sink) => {
      const silence = AbortSignal.timeout(within);
      const signal = AbortSignal.any([state.signal, silence]);
      try {
        await untilDone(state, sink, signal);
      } catch {
        if (!silence.aborted || state.signal.aborted) return;
        const seconds = Math.round(within / 1000);
        const error = new PgsiloError('sink.unreachable', `${sink.name} did not answer for ${seconds} s`, {
          hint: 'Something takes connections there and says nothing: look at the address, proxies and firewalls.',
        });
        state.sinkFailed(sink, error, undefined, true);
      }
    }),
  );
}

/** A sink that does not hear the signal is not waited for either. */
async function untilDone(state: RunState, { sink }: PipelineSink, signal: AbortSignal): Promise<void> {
  const { session, run } = state;
  const gone = Promise.withResolvers<never>();
  const leave = (): void => gone.reject(signal.reason);
  signal.addEventListener('abort', leave, { once: true });
  try {
    const key = runBeginKey(session.pipeline.name, run);
    await Promise.race([sink.stat(key, session.context(1 / 32, signal)), gone.promise]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
