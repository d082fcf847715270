import { PgsiloError } from '@pgsilo/plugin';
import type { GlobalStatement } from '../globals/file.ts';
import { planGlobals } from '../globals/plan.ts';
import { runGlobals } from '../globals/restore.ts';
import { quoteIdentifier, quoteLiteral } from '../quoting.ts';
import { missingRoles } from '../restore/roles.ts';
import { readRestorer } from '../restore/restorer.ts';
import type { Session } from '../session.ts';

/** Makes the roles as they were. Those that are there stay as they are. */
export async function makeRolesAsTheyWere(
  session: Session,
  globals: readonly GlobalStatement[],
): Promise<void> {
  const roles = globals.filter((statement) => !('tablespace' in statement) && statement.kind !== 'unknown');
  await runGlobals(session, await planGlobals(session, roles), { step: (_name, work) => work() });
}

/**
 * Makes tablespaces of the names that the globals have, each in a folder of ours: the folders that the globals name are the live server's.
 * @param makeFolder makes an empty folder that the server may write to.
 */
export async function makeTablespaces(
  session: Session,
  globals: readonly GlobalStatement[],
  makeFolder: (name: string) => Promise<string>,
): Promise<void> {
  const wanted = globals.flatMap((one) => (one.kind === 'create-tablespace' ? [one.tablespace] : []));
  const rows = await session.query<{ name: string }>('SELECT spcname::text AS name FROM pg_tablespace');
  const there = new Set(rows.map(({ name }) => name));
  for (const name of wanted.filter((one) => !there.has(one))) {
    const folder = await makeFolder(`tablespace-${there.size}`);
    there.add(name);
    await session.query(`CREATE TABLESPACE ${quoteIdentifier(name)} LOCATION ${quoteLiteral(folder)}`);
  }
}

/**
 * Makes roles that can do nothing, so that what they own and were granted can be given to them. @returns those that were not there.
 * @param comment what is said of each, for whoever finds it.
 */
export async function makeBareRoles(
  session: Session,
  wanted: ReadonlySet<string>,
  comment?: string,
): Promise<readonly string[]> {
  const missing = (await missingRoles(session, wanted)).filter((role) => !role.startsWith('pg_'));
  if (missing.length === 0) return [];
  const { superuser, name } = await readRestorer(session);
  for (const role of missing) {
    const quoted = quoteIdentifier(role);
    await session.query(`CREATE ROLE ${quoted} NOLOGIN`);
    if (comment !== undefined) await session.query(`COMMENT ON ROLE ${quoted} IS ${quoteLiteral(comment)}`);
    // Who is no superuser can give something only to roles that it is a member of.
    if (!superuser) await session.query(`GRANT ${quoted} TO ${quoteIdentifier(name)}`);
  }
  return missing;
}

/** Throws `config.invalid` when the connection leads to another server than the one that was just started: PGHOSTADDR or a service can do that. */
export async function mustBeOurs(session: Session, dataFolder: string): Promise<void> {
  const [row] = await session.query<{ folder: string }>(`SELECT current_setting('data_directory') AS folder`);
  if (row?.folder === dataFolder) return;
  throw new PgsiloError(
    'config.invalid',
    'what answers at the socket of the server that was started to restore into is another server',
    { hint: 'Unset PGHOSTADDR and PGSERVICE in the environment.' },
  );
}
