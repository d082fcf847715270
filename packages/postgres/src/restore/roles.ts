import type { TocEntry } from '../archive/index.ts';
import type { DatabaseSettings } from '../database-settings.ts';
import { showName } from '../quoting.ts';
import type { Session } from '../session.ts';
import { hasWords, isWord, nameOf, placesOf, statements, type Token } from '../sql-tokens.ts';

/** Kinds of entries for which pg_restore never says `OWNER TO`. */
const withoutOwner = new Set([
  'ACL', 'DEFAULT ACL', 'COMMENT', 'SECURITY LABEL', 'CAST', 'CHECK CONSTRAINT', 'CONSTRAINT', 'DEFAULT', 'FK CONSTRAINT', 'INDEX', 'RULE', 'TRIGGER',
  'ROW SECURITY', 'POLICY', 'USER MAPPING', 'DATABASE', 'DATABASE PROPERTIES', 'SEQUENCE SET', 'SEQUENCE OWNED BY', 'TABLE DATA', 'BLOBS', 'EXTENSION',
  'TABLE ATTACH', 'INDEX ATTACH', 'MATERIALIZED VIEW DATA', 'PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA', 'STATISTICS DATA',
]); // prettier-ignore

/** Whether pg_restore leaves the entry out because only `--create`, which pgsilo never uses, asks for it. */
export function isOfDatabase(entry: TocEntry): boolean {
  return (
    entry.desc === 'DATABASE' ||
    entry.desc === 'DATABASE PROPERTIES' ||
    (entry.section === 'none' && entry.tag.startsWith('DATABASE '))
  );
}

/** The role that the entry's object is given to; undefined where there is none. */
export function ownerOf(entry: TocEntry): string | undefined {
  return withoutOwner.has(entry.desc) || entry.owner === '' || entry.dropStatement === ''
    ? undefined
    : entry.owner;
}

/** Roles that are granted something or whose grants are made, in an entry that pg_restore leaves out with `--no-acl`. */
export function rolesOfGrants(entry: TocEntry): readonly string[] {
  if (entry.desc !== 'ACL' && entry.desc !== 'DEFAULT ACL') return [];
  return statements(entry.definition).flatMap(rolesOfGrant);
}

/** Roles without which the entry cannot be restored, owners and grants or not. */
export function rolesNamed(entry: TocEntry): readonly string[] {
  if (entry.desc === 'POLICY') return rolesOfPolicy(entry);
  if (entry.desc !== 'USER MAPPING') return [];
  const [statement] = statements(entry.definition);
  const role =
    statement && hasWords(statement, 0, 'CREATE', 'USER', 'MAPPING', 'FOR')
      ? roleName(statement[4])
      : undefined;
  return role === undefined ? [] : [role];
}

/** Whether a policy takes rights away rather than gives them. */
export function isRestrictive(entry: TocEntry): boolean {
  const [statement] = statements(entry.definition);
  return (
    statement !== undefined &&
    placesOf(statement, 'AS').some((at) => isWord(statement[at + 1], 'RESTRICTIVE'))
  );
}

/** Every role that a restore with owners and grants needs. */
export function rolesNeeded(
  entries: readonly TocEntry[],
  settings: DatabaseSettings | undefined,
): ReadonlySet<string> {
  const roles = new Set<string>();
  for (const entry of entries) {
    if (isOfDatabase(entry)) continue;
    const owner = ownerOf(entry);
    if (owner !== undefined) roles.add(owner);
    for (const role of rolesOfGrants(entry)) roles.add(role);
    for (const role of rolesNamed(entry)) roles.add(role);
  }
  if (settings) {
    roles.add(settings.owner);
    for (const { role } of settings.roleSettings) roles.add(role);
    for (const { grantee, grantor } of settings.grants ?? []) {
      roles.add(grantor);
      if (grantee !== null) roles.add(grantee);
    }
  }
  return roles;
}

/** Those of `roles` that the server does not have, in their order. */
export async function missingRoles(session: Session, roles: Iterable<string>): Promise<readonly string[]> {
  const wanted = [...roles];
  const found = await session.query<{ name: string }>(
    'SELECT rolname::text AS name FROM pg_roles WHERE rolname = ANY($1::text[]::name[])',
    [wanted],
  );
  const there = new Set(found.map((row) => row.name));
  return wanted.filter((role) => !there.has(role));
}

/** `a, "b c"` */
export function showRoles(roles: readonly string[]): readonly string[] {
  return [...roles].sort().map(showName);
}

function rolesOfGrant(statement: readonly Token[]): readonly string[] {
  if (hasWords(statement, 0, 'SET', 'SESSION', 'AUTHORIZATION')) {
    const token = statement[3];
    return token?.kind === 'text' ? [token.value] : [];
  }
  const roles: string[] = [];
  if (hasWords(statement, 0, 'ALTER', 'DEFAULT', 'PRIVILEGES', 'FOR', 'ROLE'))
    roles.push(...roleList(statement, 5));
  // The keyword before the grantees is the last one: a signature in front of it may hold such words only within parentheses.
  const direction = placesOf(statement, 'TO').at(-1) ?? placesOf(statement, 'FROM').at(-1);
  if (direction !== undefined) roles.push(...roleList(statement, direction + 1));
  const grantor = placesOf(statement, 'GRANTED').at(-1);
  if (grantor !== undefined && isWord(statement[grantor + 1], 'BY'))
    roles.push(...roleList(statement, grantor + 2));
  return roles;
}

function rolesOfPolicy(entry: TocEntry): readonly string[] {
  // POLICY entries that only switch row security on have no statement of this form.
  const [statement] = statements(entry.definition);
  if (!statement || !hasWords(statement, 0, 'CREATE', 'POLICY')) return [];
  const to = placesOf(statement, 'TO')[0];
  return to === undefined ? [] : roleList(statement, to + 1);
}

function roleList(statement: readonly Token[], from: number): readonly string[] {
  const roles: string[] = [];
  for (let at = from; ; at += 2) {
    const token = isWord(statement[at], 'GROUP') ? statement[++at] : statement[at];
    const role = roleName(token);
    if (role !== undefined) roles.push(role);
    const next = statement[at + 1];
    if (!(next?.kind === 'symbol' && next.value === ',')) return roles;
  }
}

function roleName(token: Token | undefined): string | undefined {
  return isWord(token, 'PUBLIC') ? undefined : nameOf(token);
}
