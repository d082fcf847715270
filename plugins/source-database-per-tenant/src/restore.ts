import type { Context, Restoration, RestoreRequest } from '@pgsilo/plugin';
import { globalsUnit } from './globals.ts';
import { prepareGlobalsRestore } from './globals-restore.ts';
import { prepareDatabaseRestore } from './restore-database.ts';
import type { SourceSetup } from './setup.ts';

/** Looks at a backup and a server and says what a restore would do. See `Source.restore`. */
export function prepareRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  return request.backup.unit.name === globalsUnit.name
    ? prepareGlobalsRestore(setup, request, context)
    : prepareDatabaseRestore(setup, request, context);
}
