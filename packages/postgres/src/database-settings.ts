import { z } from 'zod';
import { PgsiloError } from '@pgsilo/plugin';
import type { Session } from './session.ts';

const text = z.string();

/**
 * What belongs to a database and stands in no dump of it: how it was created, who may do what with it, its parameters.
 * Stored as the artifact `settings.json`. Roles are names.
 */
export const databaseSettingsSchema: z.ZodType<DatabaseSettings> = z.strictObject({
  format: z.literal(1),
  name: text.min(1),
  owner: text.min(1),
  encoding: text.min(1),
  localeProvider: z.enum(['libc', 'icu', 'builtin']),
  collate: text,
  ctype: text,
  /** Of the provider, when it is not libc. */
  locale: text.optional(),
  icuRules: text.optional(),
  tablespace: text.min(1),
  connectionLimit: z.int(),
  allowConnections: z.boolean(),
  isTemplate: z.boolean(),
  comment: text.optional(),
  grants: z
    .array(
      z.strictObject({ grantee: text.nullable(), privilege: text, grantable: z.boolean(), grantor: text }),
    )
    .optional(),
  settings: z.array(z.strictObject({ name: text.min(1), value: text })),
  roleSettings: z.array(z.strictObject({ role: text.min(1), name: text.min(1), value: text })),
  securityLabels: z.array(z.strictObject({ provider: text, label: text })),
});

export interface DatabaseSettings {
  readonly format: 1;
  readonly name: string;
  readonly owner: string;
  readonly encoding: string;
  readonly localeProvider: 'libc' | 'icu' | 'builtin';
  readonly collate: string;
  readonly ctype: string;
  readonly locale?: string | undefined;
  readonly icuRules?: string | undefined;
  readonly tablespace: string;
  readonly connectionLimit: number;
  readonly allowConnections: boolean;
  readonly isTemplate: boolean;
  readonly comment?: string | undefined;
  /** Undefined: nobody ever granted or revoked anything, PostgreSQL's defaults hold. */
  readonly grants?: readonly DatabaseGrant[] | undefined;
  readonly settings: readonly ParameterSetting[];
  readonly roleSettings: readonly (ParameterSetting & { readonly role: string })[];
  readonly securityLabels: readonly { readonly provider: string; readonly label: string }[];
}

export interface DatabaseGrant {
  /** Null: PUBLIC. */
  readonly grantee: string | null;
  /** `CONNECT`, `CREATE`, `TEMPORARY`. */
  readonly privilege: string;
  readonly grantable: boolean;
  readonly grantor: string;
}

/** As the catalog keeps it: the value of a list is one text in which each element is quoted where it must be. */
export interface ParameterSetting {
  readonly name: string;
  readonly value: string;
}

/** A row of pg_database as JSON: columns came and went between 14 and 18, and this reads all of them. */
interface DatabaseRow {
  readonly datname: string;
  readonly datlocprovider?: string;
  readonly datcollate: string;
  readonly datctype: string;
  readonly daticulocale?: string | null;
  readonly datlocale?: string | null;
  readonly daticurules?: string | null;
  readonly datconnlimit: number;
  readonly datallowconn: boolean;
  readonly datistemplate: boolean;
}

const providers: Readonly<Record<string, DatabaseSettings['localeProvider']>> = {
  c: 'libc',
  i: 'icu',
  b: 'builtin',
};

/** Reads the settings of the session's own database; in a transaction, as of its snapshot. Any role may. */
export async function readDatabaseSettings(session: Session): Promise<DatabaseSettings> {
  const [found] = await session.query<{
    row: DatabaseRow;
    owner: string;
    encoding: string;
    tablespace: string;
    comment: string | null;
    has_acl: boolean;
  }>(
    `SELECT to_jsonb(d) AS row, pg_get_userbyid(d.datdba)::text AS owner, pg_encoding_to_char(d.encoding)::text AS encoding,
       t.spcname::text AS tablespace, shobj_description(d.oid, 'pg_database') AS comment, d.datacl IS NOT NULL AS has_acl
     FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = current_database()`,
  );
  if (!found)
    throw new PgsiloError(
      'source.failed',
      'the database has no row in pg_database: it was dropped or renamed meanwhile',
    );
  const { row } = found;
  const localeProvider = providers[row.datlocprovider ?? 'c'];
  if (!localeProvider)
    throw new PgsiloError(
      'source.failed',
      `unknown locale provider "${row.datlocprovider}" of database ${row.datname}`,
    );
  const locale = row.datlocale ?? row.daticulocale;
  const parameters = await readParameters(session);
  return {
    format: 1,
    name: row.datname,
    owner: found.owner,
    encoding: found.encoding,
    localeProvider,
    collate: row.datcollate,
    ctype: row.datctype,
    ...(locale ? { locale } : {}),
    ...(row.daticurules ? { icuRules: row.daticurules } : {}),
    tablespace: found.tablespace,
    connectionLimit: row.datconnlimit,
    allowConnections: row.datallowconn,
    isTemplate: row.datistemplate,
    ...(found.comment === null ? {} : { comment: found.comment }),
    ...(found.has_acl ? { grants: await readGrants(session) } : {}),
    settings: parameters
      .filter((each) => each.role === undefined)
      .map(({ name, value }) => ({ name, value })),
    roleSettings: parameters.flatMap(({ role, name, value }) =>
      role === undefined ? [] : [{ role, name, value }],
    ),
    securityLabels: await session.query<{ provider: string; label: string }>(
      `SELECT l.provider, l.label FROM pg_shseclabel l JOIN pg_database d ON d.oid = l.objoid
       WHERE l.classoid = 'pg_database'::regclass AND d.datname = current_database() ORDER BY l.provider`,
    ),
  };
}

/** In the catalog's order, which is the order in which they were granted: who grants on has the option by then. */
async function readGrants(session: Session): Promise<readonly DatabaseGrant[]> {
  return session.query<{ grantee: string | null; privilege: string; grantable: boolean; grantor: string }>(
    `SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END AS grantee, a.privilege_type AS privilege,
       a.is_grantable AS grantable, pg_get_userbyid(a.grantor)::text AS grantor
     FROM pg_database d, aclexplode(d.datacl) WITH ORDINALITY AS a WHERE d.datname = current_database() ORDER BY a.ordinality`,
  );
}

async function readParameters(
  session: Session,
): Promise<readonly (ParameterSetting & { readonly role: string | undefined })[]> {
  const rows = await session.query<{ role: string | null; setting: string }>(
    `SELECT CASE WHEN s.setrole = 0 THEN NULL ELSE pg_get_userbyid(s.setrole)::text END AS role, c.setting
     FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) WITH ORDINALITY AS c(setting, at)
     WHERE d.datname = current_database() ORDER BY 1 NULLS FIRST, c.at`,
  );
  return rows.map(({ role, setting }) => {
    const equals = setting.indexOf('=');
    if (equals < 1)
      throw new PgsiloError('source.failed', `a parameter of the database has no name in pg_db_role_setting`);
    return { role: role ?? undefined, name: setting.slice(0, equals), value: setting.slice(equals + 1) };
  });
}
