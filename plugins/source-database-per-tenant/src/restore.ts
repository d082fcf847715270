import type { Context, Restoration, RestoreRequest } from '@pgsilo/plugin';
import {
  prepareGlobalsRestore,
  readGlobalsFile,
  refuseForGlobals,
  artifactOf,
  readBytes,
} from '@pgsilo/postgres';
import { globalsUnit } from './globals.ts';
import { prepareDatabaseRestore } from './restore-database.ts';
import { prepareRowsRestore } from './rows-restore.ts';
import type { SourceSetup } from './setup.ts';

/** Looks at a backup and a server and says what a restore would do. See `Source.restore`. */
export async function prepareRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  if (request.backup.unit.name !== globalsUnit.name)
    return request.rows
      ? prepareRowsRestore(setup, request, context)
      : prepareDatabaseRestore(setup, request, context);
  refuseForGlobals(request);
  const statements = readGlobalsFile(await readBytes(artifactOf(request.backup, 'globals.sql')));
  return prepareGlobalsRestore(setup.settings, statements, request, context);
}
