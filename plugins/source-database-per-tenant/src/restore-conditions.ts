import type { RestoreRequest } from '@pgsilo/plugin';
import {
  isOfDatabase,
  isRestrictive,
  localeProblem,
  majorVersion,
  missingRoles,
  rolesNamed,
  rolesNeeded,
  showName,
  showRoles,
  templateHasRules,
  type DatabaseSettings,
  type Session,
  type Toc,
  type TocEntry,
  listed,
  type Problem,
  type Restorer,
} from '@pgsilo/postgres';
import { missingExtensions, privilegeProblems } from './restore-privileges.ts';

/** What a look at archive, settings and server found. */
export interface Conditions {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
  /** Entries to restore; undefined: all of the archive. */
  readonly entries: readonly TocEntry[] | undefined;
  /** Whether all tablespaces that entries name are there. */
  readonly tablespaces: boolean;
  /** Tablespace of the new database; undefined: the server's default. */
  readonly tablespace: string | undefined;
  /** Whether template0 has ICU rules that the new database must not take over unasked. */
  readonly templateRules: boolean;
}

export interface ConditionsAbout {
  readonly request: RestoreRequest;
  readonly toc: Toc;
  /** The entries chosen by `--table`; undefined: all. */
  readonly chosen: readonly TocEntry[] | undefined;
  readonly settings: DatabaseSettings;
  readonly restorer: Restorer;
}

/** Looks for everything that would make the restore fail half-way. Reads only. */
export async function examineConditions(session: Session, about: ConditionsAbout): Promise<Conditions> {
  const { request, toc, settings, restorer } = about;
  const candidates = (about.chosen ?? toc.entries).filter((entry) => !isOfDatabase(entry));
  const roles = await roleConditions(session, about, candidates);
  const entries =
    roles.leftOut.size === 0 ? candidates : candidates.filter((entry) => !roles.leftOut.has(entry.dumpId));
  const tablespaces = await tablespaceConditions(session, entries, settings);
  const templateRules = await templateHasRules(session);
  const problems: Problem[] = [
    ...roles.problems,
    ...(await privilegeProblems(session, restorer, entries, settings, request.owner)),
    ...(await localeProblems(session, settings, templateRules)),
  ];
  const extensions = await missingExtensions(session, entries);
  if (extensions.length > 0) {
    problems.push({
      code: 'restore.refused',
      message: `the server lacks extensions that the backup needs: ${listed(extensions.map(showName))}`,
      hint: 'Install their packages on the server that is restored into.',
    });
  }
  const narrowed = about.chosen !== undefined || roles.leftOut.size > 0;
  return {
    problems,
    warnings: [
      ...versionWarnings(toc, session.major),
      ...subscriptionWarnings(entries),
      ...roles.warnings,
      ...tablespaces.warnings,
    ],
    entries: narrowed ? entries : undefined,
    tablespaces: tablespaces.all,
    tablespace: tablespaces.ofDatabase,
    templateRules,
  };
}

interface RoleConditions {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
  readonly leftOut: ReadonlySet<number>;
}

async function roleConditions(
  session: Session,
  about: ConditionsAbout,
  entries: readonly TocEntry[],
): Promise<RoleConditions> {
  const { request, settings } = about;
  if (request.owner) {
    const missing = await missingRoles(session, rolesNeeded(entries, settings));
    return {
      problems: missing.length === 0 ? [] : [rolesProblem(missing)],
      warnings: [],
      leftOut: new Set(),
    };
  }
  // Policies and user mappings name roles, owners and grants or not.
  const missing = new Set(await missingRoles(session, new Set(entries.flatMap(rolesNamed))));
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const leftOut = new Set<number>();
  for (const entry of entries) {
    const named = rolesNamed(entry);
    const absent = named.filter((role) => missing.has(role));
    if (absent.length === 0) continue;
    const what = `${entry.desc.toLowerCase()} ${showName(entry.tag)}`;
    const of = `names roles that the server lacks (${showRoles(absent).join(', ')})`;
    // Without a restrictive policy the roles that are there would see more than they did.
    if (entry.desc === 'POLICY' && absent.length < named.length && isRestrictive(entry)) {
      problems.push({
        code: 'restore.roles-missing',
        message: `restrictive ${what} ${of}`,
        hint: 'Create them first: CREATE ROLE … NOLOGIN.',
      });
    } else {
      leftOut.add(entry.dumpId);
      warnings.push(`${what} is left out, because it ${of}`);
    }
  }
  return { problems, warnings, leftOut };
}

function rolesProblem(missing: readonly string[]): Problem {
  return {
    code: 'restore.roles-missing',
    message: `the server lacks roles that the backup needs: ${listed(showRoles(missing))}`,
    hint: 'Bring them back first with: pgsilo restore FILE @globals (with the same --to-server, if any), or go without owners and grants: --no-owner.',
  };
}

async function tablespaceConditions(
  session: Session,
  entries: readonly TocEntry[],
  settings: DatabaseSettings,
): Promise<{
  readonly all: boolean;
  readonly ofDatabase: string | undefined;
  readonly warnings: readonly string[];
}> {
  const rows = await session.query<{ name: string }>('SELECT spcname::text AS name FROM pg_tablespace');
  const there = new Set(rows.map((row) => row.name));
  const wanted = new Set(entries.flatMap((entry) => entry.tablespace || []));
  const missing = [...wanted].filter((name) => !there.has(name));
  const warnings: string[] = [];
  if (missing.length > 0) {
    warnings.push(
      `the server lacks tablespaces (${listed(missing.map(showName))}): all tables go into the default one of the database`,
    );
  }
  const own = settings.tablespace === 'pg_default' ? undefined : settings.tablespace;
  if (own !== undefined && !there.has(own)) {
    warnings.push(
      `the server lacks tablespace ${showName(own)} of the database: it goes into the server's default one`,
    );
  }
  return {
    all: missing.length === 0,
    ofDatabase: own !== undefined && there.has(own) ? own : undefined,
    warnings,
  };
}

async function localeProblems(
  session: Session,
  settings: DatabaseSettings,
  templateRules: boolean,
): Promise<readonly Problem[]> {
  const tooOld = localeProblem(settings, session.major);
  if (tooOld !== undefined)
    return [{ code: 'restore.refused', message: tooOld, hint: 'Restore into a server of a later version.' }];
  const impossible = localeProblem(settings, session.major, templateRules);
  if (impossible !== undefined)
    return [
      {
        code: 'restore.refused',
        message: impossible,
        hint: 'Restore into a server that was made without --icu-rules.',
      },
    ];
  const problems: Problem[] = [];
  for (const locale of new Set([settings.collate, settings.ctype])) {
    if (await hasLocale(session, locale)) continue;
    problems.push({
      code: 'restore.refused',
      message: `the server's operating system lacks the locale ${showName(locale)} of the database`,
      hint: 'Install it there (Debian and Ubuntu: dpkg-reconfigure locales) and restart PostgreSQL.',
    });
  }
  if (settings.localeProvider === 'icu') {
    const rows = await session.query("SELECT FROM pg_collation WHERE collprovider = 'i' LIMIT 1");
    if (rows.length === 0)
      problems.push({
        code: 'restore.refused',
        message: 'the server is built without ICU, which the database needs',
      });
  }
  return problems;
}

/** The server knows a locale when it lets a locale parameter be set to it; set for this one statement only. */
async function hasLocale(session: Session, locale: string): Promise<boolean> {
  if (locale === '' || locale === 'C' || locale === 'POSIX') return true;
  try {
    await session.query("SELECT set_config('lc_monetary', $1, true)", [locale]);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === 'source.unreachable') throw error;
    return false;
  }
}

function versionWarnings(toc: Toc, major: number): readonly string[] {
  const source = majorVersion(toc.header.serverVersion);
  if (source === undefined || source <= major) return [];
  return [
    `the backup is of PostgreSQL ${source}, the server is ${major}: what it does not know yet makes the restore fail, and nothing is left behind then`,
  ];
}

function subscriptionWarnings(entries: readonly TocEntry[]): readonly string[] {
  const names = entries.filter((entry) => entry.desc === 'SUBSCRIPTION').map((entry) => showName(entry.tag));
  if (names.length === 0) return [];
  return [
    `subscriptions are restored disabled and name the same slots as the original's; enable one only where the original no longer runs: ${listed(names)}`,
  ];
}
