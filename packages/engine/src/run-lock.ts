import { PgsiloError } from '@pgsilo/plugin';
import type { HeldLock, LockAttempt } from '@pgsilo/plugin';
import { takeLockFile } from './lock-file.ts';
import type { EngineSession } from './session.ts';

/** Milliseconds between two looks at a lock that somebody else holds. */
const lookAgain = 1000;

export interface LockRequest {
  /** How this run describes itself to others. */
  readonly holder: string;
  /** Milliseconds to wait for another run to end. */
  readonly wait: number;
  readonly onWaiting?: (holder: string, since: Date | undefined) => void;
}

/** Takes the pipeline's run lock, or throws `run.locked` naming who holds it. */
export async function takeRunLock(session: EngineSession, request: LockRequest): Promise<HeldLock> {
  const { name, clock, source } = session.pipeline;
  const deadline = clock.now().getTime() + request.wait;
  const attempt = (): Promise<LockAttempt> =>
    source.source.lock
      ? source.source.lock(name, request.holder, session.context())
      : takeLockFile(session.pipeline.scratch, name, request.holder);
  let told = false;
  for (;;) {
    const lock = await attempt();
    if (lock.held) return lock;
    if (clock.now().getTime() >= deadline) {
      const since = lock.since ? ` since ${lock.since.toISOString()}` : '';
      throw new PgsiloError('run.locked', `pipeline ${name} is being run already: ${lock.holder}${since}`, {
        hint: 'Wait for it with --wait 10m, or look at what it does before you end it.',
      });
    }
    if (!told) request.onWaiting?.(lock.holder, lock.since);
    told = true;
    await clock.sleep(Math.min(lookAgain, Math.max(1, deadline - clock.now().getTime())), session.signal);
  }
}
