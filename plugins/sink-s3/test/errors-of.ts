import { isPgsiloError } from '@pgsilo/plugin';
import type { PgsiloError } from '@pgsilo/plugin';

/** The error that a call must end with. */
export async function errorOf(call: Promise<unknown>): Promise<PgsiloError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isPgsiloError(error)) throw new Error('it did not fail as it should', { cause: error });
  return error;
}
