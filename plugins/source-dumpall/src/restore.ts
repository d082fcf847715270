import { PgsiloError, type Context, type Restoration, type RestoreRequest } from '@pgsilo/plugin';
import { artifactOf, prepareGlobalsRestore, refuseForGlobals } from '@pgsilo/postgres';
import { readContents } from './inspect.ts';
import { artifactName } from './read.ts';
import { prepareClusterRestore } from './restore-cluster.ts';
import { prepareDatabaseRestore } from './restore-database.ts';
import type { SourceSetup } from './setup.ts';

/** Looks at a backup and a server and says what a restore would do: of roles alone, of one database, or of all. See `Source.restore`. */
export async function prepareRestore(
  setup: SourceSetup,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  refuseContradictions(request);
  if (request.database !== undefined)
    return prepareDatabaseRestore(setup, request, request.database, context);
  if (!request.rolesOnly) return prepareClusterRestore(setup, request, context);
  refuseForGlobals(request);
  const contents = await readContents(artifactOf(request.backup, artifactName).open(), context);
  const roles = contents.globals.filter((statement) => !('tablespace' in statement));
  return prepareGlobalsRestore(setup.settings, roles, request, context);
}

function refuseContradictions(request: RestoreRequest): void {
  const refuse = (message: string, hint: string): never => {
    throw new PgsiloError('restore.refused', message, { hint });
  };
  if (request.rolesOnly && request.database !== undefined)
    refuse('--roles-only and --database exclude each other', 'Restore the roles first, then the database.');
  if (request.tables)
    refuse(
      'single tables cannot be picked out of plain SQL',
      'Restore their database beside the live one, with --database and --to, and copy what you need from there.',
    );
  if (request.replace && !request.rolesOnly)
    refuse(
      'nothing that is live is replaced out of a backup of a whole server',
      'Restore a database beside it, with --database and --to, and rename both; database-per-tenant can --replace.',
    );
}
