import {
  quoteIdentifier,
  showName,
  type DatabaseSettings,
  type Session,
  type TocEntry,
  listed,
  type Problem,
  hasWords,
  isOfDatabase,
  isWord,
  nameOf,
  ownerOf,
  placesOf,
  tokens,
  type Restorer,
} from '@pgsilo/postgres';

/** What the restoring role lacks, for the entries that would be restored. Nothing for a superuser. */
export async function privilegeProblems(
  session: Session,
  restorer: Restorer,
  entries: readonly TocEntry[],
  settings: DatabaseSettings,
  owner: boolean,
): Promise<readonly Problem[]> {
  if (restorer.superuser) return [];
  const me = showName(restorer.name);
  const problems: Problem[] = [];
  if (!restorer.mayCreate) {
    problems.push({
      code: 'restore.denied',
      message: `role ${me} may not create databases`,
      hint: `ALTER ROLE ${me} CREATEDB, or restore as another role.`,
    });
  }
  const restored = entries.filter(
    (entry) => !isOfDatabase(entry) && (owner || (entry.desc !== 'ACL' && entry.desc !== 'DEFAULT ACL')),
  );
  if (owner) problems.push(...(await membershipProblems(session, restorer, restored, settings)));
  const extensions = await untrustedExtensions(session, restored);
  const languages = await untrustedLanguages(session);
  const reasons = restored.flatMap((entry) => {
    const reason = needsSuperuser(entry, { extensions, languages, major: session.major, restorer });
    return reason === undefined ? [] : [`${entry.desc} ${showName(entry.tag)}: ${reason}`];
  });
  if (reasons.length > 0) {
    problems.push({
      code: 'restore.denied',
      message: `role ${me} is no superuser, and this takes one: ${listed(reasons)}`,
      hint: 'Restore as a superuser (only a backup whose contents you trust), or restore single tables with --table.',
    });
  }
  return problems;
}

async function membershipProblems(
  session: Session,
  restorer: Restorer,
  entries: readonly TocEntry[],
  settings: DatabaseSettings,
): Promise<readonly Problem[]> {
  const owners = new Set([settings.owner, ...entries.flatMap((entry) => ownerOf(entry) ?? [])]);
  const rows = await session.query<{ name: string; superuser: boolean }>(
    `SELECT rolname::text AS name, rolsuper AS superuser FROM pg_roles WHERE rolname = ANY($1::text[]::name[])
     AND NOT (pg_has_role(oid, 'USAGE') AND ${session.major >= 16 ? "pg_has_role(oid, 'SET')" : "pg_has_role(oid, 'MEMBER')"}) ORDER BY 1`,
    [[...owners]],
  );
  const me = showName(restorer.name);
  const problems: Problem[] = [];
  const superusers = new Set(rows.filter((row) => row.superuser).map((row) => row.name));
  const plain = rows.filter((row) => !row.superuser).map((row) => row.name);
  // Membership in a superuser is all power over the server: never to be advised for the sake of an owner's name.
  if (superusers.size > 0) {
    const theirs = entries.flatMap((entry) =>
      superusers.has(ownerOf(entry) ?? '') ? [`${entry.desc} ${showName(entry.tag)}`] : [],
    );
    if (superusers.has(settings.owner)) theirs.unshift('the database itself');
    problems.push({
      code: 'restore.denied',
      message: `role ${me} is no superuser, and ${[...superusers].map(showName).join(', ')}, which is one, owns what is restored: ${listed(theirs, 5)}`,
      hint: 'Restore with --no-owner, or as a superuser, or give these objects another owner in the source.',
    });
  }
  if (plain.length > 0) {
    problems.push({
      code: 'restore.denied',
      message: `role ${me} is no member of roles that own what is restored: ${listed(plain.map(showName))}`,
      hint: `GRANT ${plain.map(sqlName).join(', ')} TO ${sqlName(restorer.name)}, or restore with --no-owner.`,
    });
  }
  return problems;
}

/** To be pasted into SQL; but a name must not forge a second line of a message. */
function sqlName(name: string): string {
  return /\p{C}/u.test(name) ? showName(name) : quoteIdentifier(name);
}

interface Surroundings {
  readonly extensions: ReadonlySet<string>;
  readonly languages: ReadonlySet<string>;
  readonly major: number;
  readonly restorer: Restorer;
}

/** Kinds of objects that only a superuser makes, whatever they are like. */
const superuserKinds: Readonly<Record<string, string>> = {
  'EVENT TRIGGER': 'event triggers see the commands of all roles',
  'PROCEDURAL LANGUAGE': 'languages are made by superusers',
  'OPERATOR CLASS': 'operator classes are made by superusers',
  'OPERATOR FAMILY': 'operator families are made by superusers',
  'ACCESS METHOD': 'access methods are made by superusers',
  'FOREIGN DATA WRAPPER': 'foreign data wrappers are made by superusers',
  'TEXT SEARCH PARSER': 'text search parsers are made by superusers',
  'TEXT SEARCH TEMPLATE': 'text search templates are made by superusers',
  'SHELL TYPE': 'base types are made by superusers',
  'PUBLICATION TABLES IN SCHEMA': 'publications of whole schemas are made by superusers',
};

/** Why the entry takes a superuser; undefined when it does not, as far as can be told without running it. */
function needsSuperuser(entry: TocEntry, about: Surroundings): string | undefined {
  const general = superuserKinds[entry.desc];
  if (general !== undefined) return general;
  const { desc, definition } = entry;
  if (desc === 'EXTENSION')
    return about.extensions.has(entry.tag) ? 'the extension is not marked as trusted' : undefined;
  if (desc === 'SUBSCRIPTION') return about.major >= 16 ? undefined : 'subscriptions are made by superusers';
  if (desc === 'PUBLICATION')
    return /\bFOR ALL TABLES\b/.test(definition)
      ? 'publications of all tables are made by superusers'
      : undefined;
  if (desc === 'CAST')
    return /\bWITHOUT FUNCTION\b/.test(definition)
      ? 'casts without a function are made by superusers'
      : undefined;
  if (desc === 'TYPE')
    return /\bINTERNALLENGTH\b/.test(definition) ? 'base types are made by superusers' : undefined;
  if (desc === 'AGGREGATE')
    return /\bSTYPE = internal\b/.test(definition) ? 'its state is of an internal type' : undefined;
  if (desc === 'FUNCTION' || desc === 'PROCEDURE') return functionReason(definition, about.languages);
  if (desc === 'ACL' && /\bSET SESSION AUTHORIZATION\b/.test(definition))
    return 'grants were made by another role than the owner';
  if (
    desc === 'TABLE' &&
    !about.restorer.bypassesRowSecurity &&
    /\bFORCE ROW LEVEL SECURITY\b/.test(definition)
  ) {
    return 'row security is forced upon its owner, so that rows could not be compared (BYPASSRLS would do)';
  }
  return undefined;
}

function functionReason(definition: string, untrusted: ReadonlySet<string>): string | undefined {
  // pg_dump writes the clauses before AS; what follows is the body, which may hold anything.
  const all = tokens(definition);
  const header = all.slice(0, bodyStart(all));
  const language = placesOf(header, 'LANGUAGE')[0];
  const name = language === undefined ? undefined : nameOf(header[language + 1]);
  if (name !== undefined && untrusted.has(name)) return `language ${showName(name)} is not trusted`;
  if (placesOf(header, 'LEAKPROOF').length > 0) return 'it is marked as leakproof';
  if (placesOf(header, 'SUPPORT').length > 0) return 'it names a support function';
  return undefined;
}

function bodyStart(all: ReturnType<typeof tokens>): number {
  let depth = 0;
  for (const [index, token] of all.entries()) {
    if (token.kind === 'symbol' && token.value === '(') depth += 1;
    else if (token.kind === 'symbol' && token.value === ')') depth -= 1;
    else if (
      depth === 0 &&
      (isWord(token, 'AS') || isWord(token, 'RETURN') || hasWords(all, index, 'BEGIN', 'ATOMIC'))
    )
      return index;
  }
  return all.length;
}

async function untrustedLanguages(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ name: string }>(
    'SELECT lanname::text AS name FROM pg_language WHERE lanpltrusted',
  );
  const trusted = new Set([...rows.map((row) => row.name), 'sql', 'plpgsql', 'plperl', 'pltcl']);
  // What nobody knows is answered by the server itself, when the extension that brings it is made.
  return new Set(
    ['c', 'internal', 'plperlu', 'plpython3u', 'pltclu', 'plpythonu'].filter((name) => !trusted.has(name)),
  );
}

async function untrustedExtensions(
  session: Session,
  entries: readonly TocEntry[],
): Promise<ReadonlySet<string>> {
  const wanted = entries.filter((entry) => entry.desc === 'EXTENSION').map((entry) => entry.tag);
  const rows = await session.query<{ name: string }>(
    `SELECT v.name::text AS name FROM pg_available_extension_versions v
     JOIN pg_available_extensions e ON e.name = v.name AND e.default_version = v.version
     WHERE v.superuser AND NOT v.trusted AND v.name = ANY($1::text[]::name[])`,
    [wanted],
  );
  return new Set(rows.map((row) => row.name));
}

/** Extensions of the dump that the server does not have at all. */
export async function missingExtensions(
  session: Session,
  entries: readonly TocEntry[],
): Promise<readonly string[]> {
  const wanted = entries.filter((entry) => entry.desc === 'EXTENSION').map((entry) => entry.tag);
  const rows = await session.query<{ name: string }>(
    'SELECT name::text AS name FROM pg_available_extensions WHERE name = ANY($1::text[]::name[])',
    [wanted],
  );
  const there = new Set(rows.map((row) => row.name));
  return wanted.filter((name) => !there.has(name));
}
