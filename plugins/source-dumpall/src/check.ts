import type { CheckResult, Context } from '@pgsilo/plugin';
import {
  checkWithSession,
  describeTool,
  failed,
  findTool,
  plural,
  showName,
  type Session,
} from '@pgsilo/postgres';
import { readDatabases } from './databases.ts';
import { planCluster, undumpableHint, undumpableMessage } from './plan.ts';
import { findPsql } from './psql.ts';
import type { SourceSetup } from './setup.ts';

/** What `pgsilo doctor` says about server, role, databases and client programs. */
export function checkSource(setup: SourceSetup, context: Context): AsyncGenerator<CheckResult> {
  return checkWithSession(setup.settings, context, (session) => look(setup, session, context));
}

async function* look(setup: SourceSetup, session: Session, context: Context): AsyncGenerator<CheckResult> {
  yield* checkTools(setup, session, context);
  yield* checkRole(setup, session);
  yield* checkDatabases(setup, session, context);
}

async function* checkTools(
  setup: SourceSetup,
  session: Session,
  context: Context,
): AsyncGenerator<CheckResult> {
  const { signal } = context;
  const looks = {
    // It starts pg_dump, from the folder that it is in itself.
    pg_dumpall: () => findTool('pg_dumpall', session.major, setup.programs, signal),
    pg_dump: () => findTool('pg_dump', session.major, setup.programs, signal),
    psql: () => findPsql(setup, session.major, signal),
  };
  for (const [name, find] of Object.entries(looks)) {
    try {
      yield describeTool(await find());
    } catch (error) {
      yield failed(name, error);
    }
  }
}

async function* checkRole(setup: SourceSetup, session: Session): AsyncGenerator<CheckResult> {
  const [role] = await session.query<{ name: string; superuser: boolean; passwords: boolean }>(
    `SELECT rolname::text AS name, rolsuper AS superuser, has_table_privilege('pg_authid', 'SELECT') AS passwords
       FROM pg_roles WHERE rolname = current_user`,
  );
  const { name, superuser, passwords } = role!;
  if (superuser) yield { name: 'role', status: 'ok', message: `${showName(name)} (superuser)` };
  else
    yield {
      name: 'role',
      status: 'warning',
      message: `${showName(name)} is no superuser: what it may not read in any one database fails all of pg_dumpall`,
      hint: 'GRANT pg_read_all_data and ALTER ROLE … BYPASSRLS, or connect as a superuser.',
    };
  if (!passwords && !setup.options.noRolePasswords)
    yield {
      name: 'passwords',
      status: 'warning',
      message: `${showName(name)} may not read pg_authid: roles are backed up without their passwords`,
      hint: 'Grant it, or set the passwords anew after a restore; noRolePasswords: true says that it is meant so.',
    };
}

async function* checkDatabases(
  setup: SourceSetup,
  session: Session,
  context: Context,
): AsyncGenerator<CheckResult> {
  const name = 'databases';
  const { dumped, undumpable } = await readDatabases(session, setup.options);
  yield { name, status: 'ok', message: plural(dumped.length, 'database') };
  if (undumpable.length > 0)
    yield { name, status: 'failed', message: undumpableMessage(undumpable), hint: undumpableHint };
  const { warnings } = await planCluster(setup, { lastBytes: () => undefined }, context);
  for (const message of warnings)
    if (message !== undumpableMessage(undumpable)) yield { name, status: 'warning', message };
}
