import { PgsiloError } from '@pgsilo/plugin';

const handled = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** How a command is interrupted. */
export interface Interruption {
  /** Aborted by the first signal, with `aborted`. */
  readonly signal: AbortSignal;
  abort(reason: PgsiloError): void;
  /** Lets signals do again what they do by themselves. */
  dispose(): void;
}

/**
 * The first SIGINT, SIGTERM or SIGHUP asks the command to end and undo what is half done; the second ends the process at once with 130.
 * @param onFirst told the signal's name; @param onSecond called last before the process ends.
 */
export function listenForSignals(onFirst: (name: string) => void, onSecond: () => void): Interruption {
  const controller = new AbortController();
  const listener = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      onSecond();
      process.exit(130);
    }
    controller.abort(new PgsiloError('aborted', `interrupted by ${name}`));
    onFirst(name);
  };
  for (const name of handled) process.on(name, listener);
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    dispose: () => {
      for (const name of handled) process.off(name, listener);
    },
  };
}
