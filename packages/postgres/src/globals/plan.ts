import { readRestorer } from '../restore/restorer.ts';
import { roleFlags, rolesOf, type GlobalStatement, type RoleAttributes } from './file.ts';
import { showName } from '../quoting.ts';
import type { Session } from '../session.ts';

/** What there is to do. Roles and tablespaces that exist are left as they are. */
export interface GlobalsPlan {
  /** Run in one transaction. */
  readonly roles: readonly GlobalStatement[];
  /** Cannot be run in a transaction; each on its own. */
  readonly tablespaces: readonly GlobalStatement[];
  readonly newRoles: readonly string[];
  readonly newTablespaces: readonly string[];
  readonly existing: number;
  readonly warnings: readonly string[];
  /** Whether the role that restores is one. */
  readonly superuser: boolean;
}

/** Compares the statements of `globals.sql` with the server. */
export async function planGlobals(
  session: Session,
  statements: readonly GlobalStatement[],
): Promise<GlobalsPlan> {
  const roles = await existingRoles(session);
  const spaces = new Set(
    (await session.query<{ name: string }>('SELECT spcname::text AS name FROM pg_tablespace')).map(
      (row) => row.name,
    ),
  );
  const memberships = await existingMemberships(session);
  const newRoles = new Set(rolesOf(statements).filter((role) => !roles.has(role)));
  const newTablespaces = new Set<string>();
  const run: GlobalStatement[] = [];
  const tablespaces: GlobalStatement[] = [];
  const warnings: string[] = [];
  for (const statement of statements) {
    if (statement.kind === 'unknown')
      warnings.push(`a statement is not understood and was left out: ${shorten(statement.sql)}`);
    else if ('tablespace' in statement) {
      if (statement.kind === 'create-tablespace' && !spaces.has(statement.tablespace))
        newTablespaces.add(statement.tablespace);
      if (newTablespaces.has(statement.tablespace)) tablespaces.push(statement);
    } else if ('member' in statement && statement.kind === 'membership') {
      if (newRoles.has(statement.role) || newRoles.has(statement.member)) run.push(statement);
      else if (!memberships.has(membershipKey(statement.role, statement.member))) {
        warnings.push(
          `${showName(statement.member)} is no member of ${showName(statement.role)} as it was in the backup; both exist and are left as they are`,
        );
      }
    } else if (newRoles.has(statement.role)) run.push(statement);
    else if (statement.kind === 'attributes')
      warnings.push(...differences(statement.role, statement.attributes, roles.get(statement.role)));
  }
  const { name, superuser } = await readRestorer(session);
  const grants = run.some((statement) => statement.kind === 'membership');
  return {
    roles: run,
    tablespaces,
    newRoles: [...newRoles],
    newTablespaces: [...newTablespaces],
    existing: rolesOf(statements).length - newRoles.size,
    warnings:
      grants && !superuser
        ? [
            ...warnings,
            `memberships are granted by ${showName(name)} now, because only a superuser may name another grantor`,
          ]
        : warnings,
    superuser,
  };
}

interface ExistingRole {
  readonly flags: Readonly<Record<string, boolean>>;
  readonly connectionLimit: number;
}

async function existingRoles(session: Session): Promise<ReadonlyMap<string, ExistingRole>> {
  const rows = await session.query<{ name: string; limit: number; flags: boolean[] }>(
    `SELECT rolname::text AS name, rolconnlimit AS limit,
       ARRAY[rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls] AS flags FROM pg_roles`,
  );
  return new Map(
    rows.map((row) => [
      row.name,
      {
        connectionLimit: row.limit,
        flags: Object.fromEntries(roleFlags.map((flag, at) => [flag, row.flags[at] === true])),
      },
    ]),
  );
}

async function existingMemberships(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ role: string; member: string }>(
    'SELECT pg_get_userbyid(roleid)::text AS role, pg_get_userbyid(member)::text AS member FROM pg_auth_members',
  );
  return new Set(rows.map((row) => membershipKey(row.role, row.member)));
}

function membershipKey(role: string, member: string): string {
  return `${role}\0${member}`;
}

function differences(
  role: string,
  wanted: RoleAttributes,
  there: ExistingRole | undefined,
): readonly string[] {
  if (!there) return [];
  const differing = Object.entries(wanted.flags)
    .filter(([flag, value]) => there.flags[flag] !== value)
    .map(([flag, value]) => (value ? flag : `NO${flag}`));
  if (wanted.connectionLimit !== there.connectionLimit)
    differing.push(`CONNECTION LIMIT ${wanted.connectionLimit}`);
  return differing.length === 0
    ? []
    : [`role ${showName(role)} exists and is left as it is; in the backup it was ${differing.join(' ')}`];
}

/** The beginning of a statement, up to where a password could stand. */
export function shorten(sql: string): string {
  const plain = sql.replace(/PASSWORD.*/s, 'PASSWORD …').replaceAll(/\s+/g, ' ');
  return plain.length > 80 ? `${plain.slice(0, 79)}…` : plain;
}
