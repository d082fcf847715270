import { isPgsiloError, PgsiloError } from '@pgsilo/plugin';
import { showName, sqlState } from '@pgsilo/postgres';

/** PostgreSQL's "invalid byte sequence": what was to be sent to us is not of the encoding that we speak. */
const invalidBytes = '22021';

/**
 * Says what to do about names that are no text: in SQL_ASCII any bytes are a name. pg_dump carries them as they are,
 * but no table or column can be counted whose name cannot be said. Any other error is returned as it is.
 */
export function explainByteNames(error: unknown, database: string): unknown {
  if (!isPgsiloError(error) || sqlState(error.cause) !== invalidBytes) return error;
  return new PgsiloError(
    'source.failed',
    `database ${showName(database)} has names of tables or columns that are not UTF-8, so that their rows cannot be counted: ${error.message}`,
    {
      cause: error.cause,
      hint: 'Rename them, or back this database up by a pipeline of its own with `fingerprint: none`.',
    },
  );
}
