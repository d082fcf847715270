import { PgsiloError } from '@pgsilo/plugin';
import type { DatabaseGrant, DatabaseSettings, ParameterSetting } from './database-settings.ts';
import { quoteIdentifier, quoteLiteral, showName } from './quoting.ts';
import type { Session } from './session.ts';

/** What of a database's settings can be said at its creation alone. */
export type DatabaseLocale = Pick<
  DatabaseSettings,
  'name' | 'encoding' | 'localeProvider' | 'collate' | 'ctype' | 'locale' | 'icuRules'
>;

/** A statement, and what it does, for the report when it cannot be done. */
export interface SettingStatement {
  readonly sql: string;
  /** `parameter search_path`, `comment`. */
  readonly about: string;
}

export interface CreateDatabaseOptions {
  /** Major version of the server that runs it. */
  readonly major: number;
  /** Undefined: the role that runs it. */
  readonly owner?: string | undefined;
  /** Undefined: the server's default. */
  readonly tablespace?: string | undefined;
  /** Whether template0 has ICU rules, see {@link templateHasRules}. Default: no. */
  readonly templateRules?: boolean | undefined;
}

/**
 * `CREATE DATABASE` from template0 with the same encoding, locale provider and locales under another name.
 * Throws `restore.refused` when the server cannot have a database with the provider.
 */
export function createDatabaseStatement(
  settings: DatabaseLocale,
  newName: string,
  options: CreateDatabaseOptions,
): string {
  const { major, templateRules = false } = options;
  const problem = localeProblem(settings, major, templateRules);
  if (problem) throw new PgsiloError('restore.refused', problem);
  const parts = [
    `CREATE DATABASE ${quoteIdentifier(newName)} WITH TEMPLATE = template0`,
    `ENCODING = ${quoteLiteral(settings.encoding)}`,
    `LC_COLLATE = ${quoteLiteral(settings.collate)} LC_CTYPE = ${quoteLiteral(settings.ctype)}`,
  ];
  // Said for libc too: template0 of a server that was made with ICU would give its own provider.
  if (major >= 15) parts.push(`LOCALE_PROVIDER = ${settings.localeProvider}`);
  if (settings.localeProvider === 'icu' && settings.locale)
    parts.push(`ICU_LOCALE = ${quoteLiteral(settings.locale)}`);
  if (settings.localeProvider === 'builtin' && settings.locale)
    parts.push(`BUILTIN_LOCALE = ${quoteLiteral(settings.locale)}`);
  if (settings.icuRules) parts.push(`ICU_RULES = ${quoteLiteral(settings.icuRules)}`);
  // Unsaid, the rules of template0 would be taken, and everything sorted otherwise than it was.
  else if (settings.localeProvider === 'icu' && templateRules) parts.push("ICU_RULES = ''");
  if (options.owner !== undefined) parts.push(`OWNER = ${quoteIdentifier(options.owner)}`);
  if (options.tablespace !== undefined) parts.push(`TABLESPACE = ${quoteIdentifier(options.tablespace)}`);
  return parts.join(' ');
}

/** Whether template0 has ICU rules, as the option `--icu-rules` of initdb gives it. New databases take them over unless told otherwise. */
export async function templateHasRules(session: Session): Promise<boolean> {
  const [row] = await session.query<{ rules: string | null }>(
    `SELECT to_jsonb(d) ->> 'daticurules' AS rules FROM pg_database d WHERE datname = 'template0'`,
  );
  return row?.rules != null;
}

/**
 * Why a server of this major version cannot have a database with these locales; undefined when it can, as far as version and template go.
 * @param templateRules see {@link templateHasRules}.
 */
export function localeProblem(
  settings: DatabaseLocale,
  major: number,
  templateRules: boolean = false,
): string | undefined {
  const needed =
    settings.localeProvider === 'builtin'
      ? 17
      : settings.icuRules
        ? 16
        : settings.localeProvider === 'icu'
          ? 15
          : 0;
  if (major >= needed) {
    // There is no word for "no rules" but in a database of ICU: ICU_RULES = '' is refused for the others.
    if (!templateRules || settings.localeProvider === 'icu') return undefined;
    return `the server was made with ICU rules (initdb --icu-rules), beside which PostgreSQL can make no database of the locale provider ${settings.localeProvider}, as ${showName(settings.name)} is`;
  }
  return `database ${showName(settings.name)} has the locale provider ${settings.localeProvider}${settings.icuRules ? ' with rules' : ''}, which takes PostgreSQL ${needed}; this server is ${major}`;
}

export interface ApplyOptions {
  /** Owner and grants to named roles; without it only what PUBLIC may do is applied. */
  readonly owner: boolean;
}

/**
 * What gives a new database the settings of the old one, under the new name, in this order. All of them may run in one transaction.
 * PUBLIC's rights are said in full, because a restore takes them away at the start.
 */
export function applySettingsStatements(
  settings: DatabaseSettings,
  newName: string,
  options: ApplyOptions,
): readonly SettingStatement[] {
  const database = quoteIdentifier(newName);
  const comment = settings.comment === undefined ? 'NULL' : quoteLiteral(settings.comment);
  const statements: SettingStatement[] = [
    { sql: `COMMENT ON DATABASE ${database} IS ${comment}`, about: 'comment' },
  ];
  for (const each of settings.settings) {
    statements.push({
      sql: `ALTER DATABASE ${database} ${setParameter(each)}`,
      about: `parameter ${each.name}`,
    });
  }
  if (options.owner) {
    for (const each of settings.roleSettings) {
      const sql = `ALTER ROLE ${quoteIdentifier(each.role)} IN DATABASE ${database} ${setParameter(each)}`;
      statements.push({ sql, about: `parameter ${each.name} of role ${each.role}` });
    }
  }
  if (settings.connectionLimit !== -1) {
    const limit = settings.connectionLimit;
    // -2 marks a database whose DROP was interrupted; such a one was never backed up.
    if (limit >= 0)
      statements.push({
        sql: `ALTER DATABASE ${database} CONNECTION LIMIT ${limit}`,
        about: 'connection limit',
      });
  }
  for (const { provider, label } of settings.securityLabels) {
    const sql = `SECURITY LABEL FOR ${quoteIdentifier(provider)} ON DATABASE ${database} IS ${quoteLiteral(label)}`;
    statements.push({ sql, about: `security label of ${provider}` });
  }
  if (options.owner) {
    statements.push({
      sql: `ALTER DATABASE ${database} OWNER TO ${quoteIdentifier(settings.owner)}`,
      about: 'owner',
    });
  }
  statements.push(...grantStatements(settings, database, options.owner));
  if (settings.isTemplate)
    statements.push({ sql: `ALTER DATABASE ${database} IS_TEMPLATE true`, about: 'template mark' });
  return statements;
}

function grantStatements(
  settings: DatabaseSettings,
  database: string,
  named: boolean,
): readonly SettingStatement[] {
  const { grants, owner } = settings;
  if (!grants)
    return [{ sql: `GRANT CONNECT, TEMPORARY ON DATABASE ${database} TO PUBLIC`, about: 'rights of PUBLIC' }];
  const statements: SettingStatement[] = [
    { sql: `REVOKE ALL ON DATABASE ${database} FROM PUBLIC`, about: 'rights of PUBLIC' },
  ];
  if (named) {
    const sql = `REVOKE ALL ON DATABASE ${database} FROM ${quoteIdentifier(owner)}`;
    statements.push({ sql, about: `rights of role ${owner}` });
  }
  for (const grant of grants) {
    if (!named && grant.grantee !== null) continue;
    statements.push(...grantStatement(grant, database, named && grant.grantor !== owner));
  }
  return statements;
}

/** A grant that somebody else than the owner made is made again by that role, so that revoking from it cascades as before. */
function grantStatement(
  grant: DatabaseGrant,
  database: string,
  byGrantor: boolean,
): readonly SettingStatement[] {
  const to = grant.grantee === null ? 'PUBLIC' : quoteIdentifier(grant.grantee);
  const about = `right ${grant.privilege} of ${grant.grantee === null ? 'PUBLIC' : `role ${grant.grantee}`}`;
  if (!/^[A-Z]+$/.test(grant.privilege))
    throw new PgsiloError('source.archive-invalid', `"${grant.privilege}" is no privilege`);
  const sql = `GRANT ${grant.privilege} ON DATABASE ${database} TO ${to}${grant.grantable ? ' WITH GRANT OPTION' : ''}`;
  if (!byGrantor) return [{ sql, about }];
  return [
    { sql: `SET LOCAL ROLE ${quoteIdentifier(grant.grantor)}`, about },
    { sql, about },
    { sql: 'RESET ROLE', about },
  ];
}

/** Parameters whose value is a list of names: given as one text, the whole list would become one name. The server's own list of them. */
const listParameters = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]);

/** `SET "search_path" TO 'app', 'public'`. */
export function setParameter(setting: ParameterSetting): string {
  const name = quoteIdentifier(setting.name);
  if (!listParameters.has(setting.name.toLowerCase())) return `SET ${name} TO ${quoteLiteral(setting.value)}`;
  const elements = splitNames(setting.value);
  return `SET ${name} TO ${elements.length === 0 ? "''" : elements.map(quoteLiteral).join(', ')}`;
}

/** Splits `"$user", public` into its names, undoing double quotes. Throws `source.archive-invalid` when it is no such list. */
export function splitNames(list: string): readonly string[] {
  const names: string[] = [];
  const element = /\s*(?:"((?:[^"]|"")*)"|([^",\s][^",]*?))\s*(,|$)/y;
  if (list.trim() === '') return names;
  for (;;) {
    const match = element.exec(list);
    if (!match) throw new PgsiloError('source.archive-invalid', `"${list}" is no list of names`);
    names.push(match[1] === undefined ? match[2]! : match[1].replaceAll('""', '"'));
    if (match[3] === '') return names;
  }
}
