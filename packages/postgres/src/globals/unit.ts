import { PgsiloError, type BackupView, type CheckResult, type Context, type Inspection, type Restoration, type RestoreRequest } from '@pgsilo/plugin'; // prettier-ignore
import { artifactOf, readBytes } from '../artifacts.ts';
import type { ServerSettings } from '../connection.ts';
import { plural } from '../plural.ts';
import { showName } from '../quoting.ts';
import type { Session } from '../session.ts';
import { readGlobalsFile, rolesOf, type GlobalStatement } from './file.ts';
import { mayReadPasswords } from './read.ts';
import { prepareGlobalsRestore, refuseForGlobals } from './restore.ts';

/** What a backup of the unit `@globals` has, checked to be whole. Throws `source.archive-invalid`. */
export async function globalStatements(backup: BackupView): Promise<readonly GlobalStatement[]> {
  return readGlobalsFile(await readBytes(artifactOf(backup, 'globals.sql')));
}

/** {@link prepareGlobalsRestore} of the unit `@globals`. */
export async function prepareGlobalsUnit(
  own: ServerSettings,
  request: RestoreRequest,
  context: Context,
): Promise<Restoration> {
  refuseForGlobals(request);
  return prepareGlobalsRestore(own, await globalStatements(request.backup), request, context);
}

/** `Source.inspect` of the unit `@globals`. */
export async function inspectGlobals(backup: BackupView): Promise<Inspection> {
  const roles = rolesOf(await globalStatements(backup));
  if (roles.length > 0) return { summary: plural(roles.length, 'role') };
  throw new PgsiloError('source.archive-invalid', 'globals.sql creates no role, and every server has one', {
    hint: 'Use the copy in another sink, or another backup.',
  });
}

/** What `pgsilo doctor` says where roles are backed up without their passwords. */
export async function* checkPasswords(session: Session): AsyncGenerator<CheckResult> {
  if (await mayReadPasswords(session)) return;
  const [row] = await session.query<{ role: string }>('SELECT current_user::text AS role');
  yield {
    name: 'globals',
    status: 'warning',
    message: `${showName(row!.role)} may not read pg_authid: roles are backed up without their passwords`,
    hint: 'Grant pg_read_all_data, or set the passwords anew after a restore of @globals.',
  };
}
