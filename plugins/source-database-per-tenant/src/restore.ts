import type { Context, Restoration, RestoreRequest } from '@pgsilo/plugin';
import { isGlobals, prepareGlobalsUnit } from '@pgsilo/postgres';
import { prepareDatabaseRestore } from './restore-database.ts';
import { prepareRowsRestore } from './rows-restore.ts';
import type { SourceSetup } from './setup.ts';

/** Looks at a backup and a server and says what a restore would do. See `Source.restore`. */
export async function prepareRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  if (isGlobals(request.backup.unit)) return prepareGlobalsUnit(setup.settings, request, context);
  return request.rows
    ? prepareRowsRestore(setup, request, context)
    : prepareDatabaseRestore(setup, request, context);
}
