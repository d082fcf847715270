import type { Context } from './context.ts';
import { isPgsiloError, throwIfAborted, type PgsiloError } from './errors.ts';

/** Does one thing with a store; `doing` is an infinitive for messages: `list the objects`. */
export type Attempt = <T>(
  doing: string,
  context: Pick<Context, 'signal'>,
  call: () => Promise<T>,
) => Promise<T>;

/**
 * For sinks: what their library throws comes out as `translate` makes it. After an abort the reason is thrown, whatever the library says, and nothing is begun.
 * @param translate is not asked about errors that are a `PgsiloError` already.
 */
export function attemptWith(translate: (error: unknown, doing: string) => PgsiloError): Attempt {
  return async (doing, { signal }, call) => {
    throwIfAborted(signal);
    try {
      return await call();
    } catch (error) {
      throwIfAborted(signal);
      throw isPgsiloError(error) ? error : translate(error, doing);
    }
  };
}
