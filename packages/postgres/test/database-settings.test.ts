import { afterAll, beforeAll, expect, test } from 'vitest';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { splitNames } from '../src/database-statements.ts';
import {
  applySettingsStatements, createDatabaseStatement, databaseSettingsSchema, localeProblem, openSession, parseConnection, quoteIdentifier,
  readDatabaseSettings, setParameter, type DatabaseSettings,
} from '../src/index.ts'; // prettier-ignore

let server: SharedPostgres;
let database: FreshDatabase;
const tag = crypto.randomUUID().slice(0, 8);
const owner = `own"er ${tag}`;
const app = `app-${tag}`;
// ASCII: a role's name is bytes that each database reads in its own encoding.
const reader = `reader's ${tag}`;
const roles = [owner, app, reader].map(quoteIdentifier);

beforeAll(async () => {
  server = await sharedPostgres();
  database = await server.freshDatabase(
    "set'tings",
    "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
  );
  for (const role of roles) await database.query(`CREATE ROLE ${role}`);
});

afterAll(async () => {
  await database?.drop();
  for (const role of roles) await database.query(`DROP ROLE ${role}`).catch(() => undefined);
  const admin = await openSession(parseConnection(server.url), {
    applicationName: 'settings',
    purpose: 'test',
  });
  for (const role of roles) await admin.query(`DROP ROLE IF EXISTS ${role}`);
  await admin.close();
});

async function read(url: string): Promise<DatabaseSettings> {
  const session = await openSession(parseConnection(url), { applicationName: 'settings', purpose: 'test' });
  try {
    return await readDatabaseSettings(session);
  } finally {
    await session.close();
  }
}

/** Creates a copy, applies the settings to it, and reads them back. */
async function copyOf(settings: DatabaseSettings, withOwner: boolean): Promise<DatabaseSettings> {
  const name = `copy "of ${tag}`;
  const admin = await openSession(parseConnection(server.url), {
    applicationName: 'settings',
    purpose: 'test',
  });
  try {
    await admin.query(createDatabaseStatement(settings, name, { major: admin.major }));
    try {
      await admin.query(`REVOKE ALL ON DATABASE ${quoteIdentifier(name)} FROM PUBLIC`);
      await admin.query('BEGIN');
      for (const { sql } of applySettingsStatements(settings, name, { owner: withOwner }))
        await admin.query(sql);
      await admin.query('COMMIT');
      return await read(server.urlOf(name));
    } finally {
      await admin.query('ROLLBACK');
      await admin.query(`DROP DATABASE ${quoteIdentifier(name)} WITH (FORCE)`);
    }
  } finally {
    await admin.close();
  }
}

test('a plain database has no grants, settings or comment', async () => {
  const settings = await read(database.url);
  expect(settings).toMatchObject({
    format: 1, name: database.name, owner: 'postgres', encoding: 'LATIN1', localeProvider: 'libc', collate: 'C', ctype: 'C', tablespace: 'pg_default',
    connectionLimit: -1, allowConnections: true, isTemplate: false, settings: [], roleSettings: [], securityLabels: [],
  }); // prettier-ignore
  expect(settings.grants).toBeUndefined();
  expect(settings.comment).toBeUndefined();
  // PUBLIC's rights, taken away during a restore, are back; said instead of implied.
  const copy = await copyOf(settings, true);
  expect(
    copy.grants
      ?.filter((grant) => grant.grantee === null)
      .map((grant) => grant.privilege)
      .sort(),
  ).toEqual(['CONNECT', 'TEMPORARY']);
  expect({ ...copy, grants: undefined, name: '' }).toEqual({ ...settings, grants: undefined, name: '' });
});

test('everything that belongs to a database reaches another one under another name', async () => {
  const name = quoteIdentifier(database.name);
  await database.query(`
    COMMENT ON DATABASE ${name} IS E'it''s \\\\ the\n"tenant"';
    ALTER DATABASE ${name} CONNECTION LIMIT 17;
    ALTER DATABASE ${name} SET search_path TO "$user", 'we''ird, schema', public;
    ALTER DATABASE ${name} SET work_mem TO '7MB';
    ALTER DATABASE ${name} SET "my.param" TO E'a=b,"c"\\\\';
    ALTER DATABASE ${name} SET temp_tablespaces TO '';
    ALTER ROLE ${roles[1]} IN DATABASE ${name} SET statement_timeout TO '5s';
    ALTER ROLE ${roles[1]} IN DATABASE ${name} SET search_path TO app;
    ALTER DATABASE ${name} OWNER TO ${roles[0]};
    REVOKE ALL ON DATABASE ${name} FROM PUBLIC;
    GRANT CONNECT ON DATABASE ${name} TO ${roles[1]} WITH GRANT OPTION;
    GRANT CREATE ON DATABASE ${name} TO ${roles[2]};
    SET ROLE ${roles[1]}; GRANT CONNECT ON DATABASE ${name} TO ${roles[2]}; RESET ROLE`);
  const settings = await read(database.url);
  expect(settings.settings).toEqual([
    { name: 'search_path', value: '"$user", "we\'ird, schema", public' },
    { name: 'work_mem', value: '7MB' },
    { name: 'my.param', value: 'a=b,"c"\\' },
    { name: 'temp_tablespaces', value: '""' },
  ]);
  expect(settings.roleSettings).toEqual([
    { role: app, name: 'statement_timeout', value: '5s' },
    { role: app, name: 'search_path', value: 'app' },
  ]);
  expect(settings.grants).toContainEqual({
    grantee: reader,
    privilege: 'CONNECT',
    grantable: false,
    grantor: app,
  });
  expect(databaseSettingsSchema.parse(JSON.parse(JSON.stringify(settings)))).toEqual(settings);

  const { name: _, ...rest } = settings;
  expect(await copyOf(settings, true)).toMatchObject(rest);

  const without = await copyOf(settings, false);
  expect(without).toMatchObject({
    owner: 'postgres',
    settings: settings.settings,
    roleSettings: [],
    comment: settings.comment,
    connectionLimit: 17,
  });
  expect(without.grants?.filter((grant) => grant.grantee !== 'postgres')).toEqual([]);
});

test('lists of names are taken apart as the server does', () => {
  expect(splitNames('')).toEqual([]);
  expect(splitNames('a')).toEqual(['a']);
  expect(splitNames(' "$user", public ,"a""b,c"')).toEqual(['$user', 'public', 'a"b,c']);
  expect(() => splitNames('a,,b')).toThrow(/no list/);
  expect(setParameter({ name: 'search_path', value: '' })).toBe(`SET "search_path" TO ''`);
  expect(setParameter({ name: 'work_mem', value: '1MB, 2' })).toBe(`SET "work_mem" TO '1MB, 2'`);
});

test('locale providers are said to servers that know them and refused by others', async () => {
  const base = await read(server.urlOf('postgres'));
  const icu: DatabaseSettings = { ...base, localeProvider: 'icu', locale: 'de-u-co-phonebk' };
  const builtin: DatabaseSettings = { ...base, localeProvider: 'builtin', locale: 'C.UTF-8' };
  expect(createDatabaseStatement(icu, 'x', { major: 15 })).toContain(
    "LOCALE_PROVIDER = icu ICU_LOCALE = 'de-u-co-phonebk'",
  );
  expect(createDatabaseStatement({ ...icu, icuRules: '&a < b' }, 'x', { major: 16 })).toContain(
    "ICU_RULES = '&a < b'",
  );
  expect(createDatabaseStatement(icu, 'x', { major: 16, templateRules: true })).toContain("ICU_RULES = ''");
  expect(createDatabaseStatement(icu, 'x', { major: 16 })).not.toContain('ICU_RULES');
  expect(localeProblem(builtin, 18, true)).toContain('initdb --icu-rules');
  expect(createDatabaseStatement(builtin, 'x', { major: 18 })).toContain("BUILTIN_LOCALE = 'C.UTF-8'");
  expect(createDatabaseStatement({ ...base, localeProvider: 'libc' }, 'x', { major: 14 })).not.toContain(
    'PROVIDER',
  );
  expect(localeProblem(builtin, 16)).toContain('takes PostgreSQL 17');
  expect(() => createDatabaseStatement(icu, 'x', { major: 14 })).toThrow(
    expect.objectContaining({ code: 'restore.refused' }),
  );
});
