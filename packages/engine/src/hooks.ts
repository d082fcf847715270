import { abortReason, PgsiloError, throwIfAborted, toPgsiloError } from '@pgsilo/plugin';
import { hookEnvironment } from './hook-environment.ts';
import { runHook } from './hook-process.ts';
import type { Pipeline } from './pipeline.ts';
import type { Failure } from './run-records.ts';

/** What hooks stand around: a run, a restore, the exchange of what is live with the restored copy. */
export const hookedWork = ['backup', 'restore', 'swap'] as const;
export type HookedWork = (typeof hookedWork)[number];
export type HookName = `${'before' | 'after'}-${HookedWork}`;

/** A command of a person's own. */
export interface Hook {
  /** Program and arguments, as they are: no shell reads them. */
  readonly run: readonly string[];
  /** Milliseconds until it is ended. */
  readonly timeout: number;
  /** Names of variables of pgsilo's own environment that it gets besides the harmless ones. */
  readonly env: readonly string[];
}

export interface PipelineHooks {
  readonly commands: Readonly<Partial<Record<HookName, readonly Hook[]>>>;
  /** Where the commands run: the pipeline file's folder. */
  readonly folder: string;
  /** Of pgsilo itself; hooks get a few of these. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What a hook is told in its environment, as `PGSILO_UNIT` and so on. */
export interface HookFacts {
  readonly run?: string;
  readonly unit?: string;
  readonly backup?: string;
  /** What is or will be made: the database's name. */
  readonly target?: string;
  /** What is live and will be replaced. */
  readonly replaces?: string;
  /** Why a run is made that nobody asked for by itself: `before-restore`. */
  readonly reason?: string;
}

/** A hook after the work that failed: the work itself was done. */
export interface FailedHook {
  readonly hook: HookName;
  readonly error: Failure;
}

export interface Hooked<Result> {
  readonly result: Result;
  readonly failedHooks: readonly FailedHook[];
}

export interface HookedCall<Result> {
  readonly around: HookedWork;
  readonly facts: HookFacts;
  readonly signal: AbortSignal;
  /** How the work went, for the hooks after it; default `ok`. */
  readonly statusOf?: (result: Result) => string;
  /** What is known after the work only. */
  readonly factsOf?: (result: Result) => HookFacts;
}

/** Milliseconds that each hook after interrupted work may take at most: Ctrl-C must not wait for ever, and the application must be started again. */
const afterInterrupt = 60_000;

/**
 * Runs the hooks before the work, the work, and the hooks after it.
 *
 * A hook before it that fails stops: the hooks after it on the list and the work are not begun, and its `hook.failed` is thrown. The hooks after the work run in any case, once the first hook
 * before it was begun: what that one has stopped must be started again. All of them run, whether or not one fails. Where the work was done their failures are returned; where it was not, they
 * stand in the message of the error that is thrown.
 */
export async function withHooks<Result>(
  { hooks, name, log }: Pick<Pipeline, 'hooks' | 'name' | 'log'>,
  call: HookedCall<Result>,
  work: () => Promise<Result>,
): Promise<Hooked<Result>> {
  const { around, signal } = call;
  const before = hooks?.commands[`before-${around}`] ?? [];
  const after = hooks?.commands[`after-${around}`] ?? [];
  if (!hooks || before.length + after.length === 0) return { result: await work(), failedHooks: [] };
  const start = (hook: HookName, one: Hook, facts: HookFacts & Ending, grace: number): Promise<void> =>
    runHook({
      ...one,
      hook,
      env: hookEnvironment(hooks, one, { hook, pipeline: name, ...facts }),
      folder: hooks.folder,
      log,
      signal,
      grace,
    });
  const runAfter = async (facts: HookFacts & Ending): Promise<readonly FailedHook[]> => {
    const failedHooks: FailedHook[] = [];
    for (const one of after) {
      try {
        await start(`after-${around}`, one, facts, afterInterrupt);
      } catch (thrown) {
        const error = toPgsiloError(thrown, 'hook.failed');
        log.error(error.message, { code: error.code });
        failedHooks.push({ hook: `after-${around}`, error: error.toJSON() });
      }
    }
    return failedHooks;
  };
  throwIfAborted(signal);
  let result: Result;
  try {
    for (const one of before) await start(`before-${around}`, one, call.facts, 0);
    throwIfAborted(signal);
    result = await work();
  } catch (thrown) {
    const error = signal.aborted ? abortReason(signal) : toPgsiloError(thrown);
    const status = error.code === 'aborted' ? 'aborted' : 'failed';
    const failedHooks = await runAfter({ ...call.facts, status, error: error.code });
    throw failedHooks.length === 0 ? thrown : withFailures(toPgsiloError(thrown), failedHooks);
  }
  const status = call.statusOf?.(result) ?? 'ok';
  return { result, failedHooks: await runAfter({ ...call.facts, ...call.factsOf?.(result), status }) };
}

/** How the work ended, for the hooks after it. */
export interface Ending {
  /** `ok`, `partial`, `failed` or `aborted`; undefined before the work. */
  readonly status?: string;
  /** Code of the error that ended it. */
  readonly error?: string;
}

function withFailures(error: PgsiloError, failed: readonly FailedHook[]): PgsiloError {
  const also = failed.map(({ error: { message } }) => message).join('; ');
  return new PgsiloError(error.code, `${error.message}\nBesides: ${also}`, {
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}
