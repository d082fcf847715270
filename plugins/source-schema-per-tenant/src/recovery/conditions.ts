import {
  isOfDatabase, listed, missingRoles, rolesNamed, rolesNeeded, showName, showRoles, type DatabaseSettings, type Problem, type Session, type TocEntry,
} from '@pgsilo/postgres'; // prettier-ignore

/** Roles that the entries need and the server lacks. */
export async function rolesProblems(
  session: Session,
  entries: readonly TocEntry[],
  settings: DatabaseSettings | undefined,
  owner: boolean,
): Promise<readonly Problem[]> {
  // Policies and user mappings name roles, owners and grants or not.
  const roles = owner ? rolesNeeded(entries, settings) : new Set(entries.flatMap(rolesNamed));
  const missing = await missingRoles(session, roles);
  if (missing.length === 0) return [];
  return [
    {
      code: 'restore.roles-missing',
      message: `the server lacks roles that the backup needs: ${listed(showRoles(missing))}`,
      hint: `Create them first (CREATE ROLE … NOLOGIN)${owner ? ', or go without owners and grants (--no-owner) where no policy names them' : ''}.`,
    },
  ];
}

/** Extensions of the archive that the server does not have at all. */
export async function extensionProblems(
  session: Session,
  entries: readonly TocEntry[],
): Promise<readonly Problem[]> {
  const wanted = entries.filter(({ desc }) => desc === 'EXTENSION').map(({ tag }) => tag);
  if (wanted.length === 0) return [];
  const rows = await session.query<{ name: string }>(
    'SELECT name::text AS name FROM pg_available_extensions WHERE name = ANY($1::text[]::name[])',
    [wanted],
  );
  const there = new Set(rows.map(({ name }) => name));
  const missing = wanted.filter((name) => !there.has(name));
  if (missing.length === 0) return [];
  return [
    {
      code: 'restore.refused',
      message: `the server lacks extensions that the backup needs: ${listed(missing.map((name) => showName(name)))}`,
      hint: 'Install their packages on the server that is restored into.',
    },
  ];
}

/** A sentence when the server lacks tablespaces that entries name; then all goes into the default one. */
export async function lacksTablespaces(
  session: Session,
  entries: readonly TocEntry[],
): Promise<readonly string[]> {
  const wanted = new Set(
    entries.filter((entry) => !isOfDatabase(entry)).flatMap((entry) => entry.tablespace || []),
  );
  if (wanted.size === 0) return [];
  const rows = await session.query<{ name: string }>('SELECT spcname::text AS name FROM pg_tablespace');
  const there = new Set(rows.map(({ name }) => name));
  const missing = [...wanted].filter((name) => !there.has(name));
  if (missing.length === 0) return [];
  return [
    `the server lacks tablespaces (${listed(missing.map((name) => showName(name)))}): all tables go into the default one of the database`,
  ];
}
