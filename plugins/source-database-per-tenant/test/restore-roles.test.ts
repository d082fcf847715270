import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isRestrictive, rolesNamed, rolesOfGrants, type TocEntry } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import { backUp, database, request, restore, setupFor, type TestBackup } from './backups.ts';
import { databasesOf, sql, urlFor } from './servers.ts';

const rich = readFileSync(
  join(dirname(fileURLToPath(import.meta.url)), '../../../packages/postgres/test/fixtures/rich.sql'),
  'utf8',
);
let server: ThrowawayPostgres;
let other: ThrowawayPostgres;
let backup: TestBackup;
let simple: TestBackup;

beforeAll(async () => {
  [server, other] = await Promise.all([startPostgres(), startPostgres()]);
  await sql(
    server,
    'postgres',
    `CREATE ROLE rich_owner; CREATE ROLE rich_app; CREATE ROLE "rich reader";
    CREATE ROLE builder LOGIN PASSWORD 'builder-password' CREATEDB; CREATE ROLE tenant; CREATE ROLE tenant_app`,
  );
  await sql(server, 'postgres', 'CREATE DATABASE rich TEMPLATE template0');
  await sql(server, 'rich', rich);
  await sql(server, 'postgres', 'CREATE DATABASE simple TEMPLATE template0 OWNER tenant');
  await sql(
    server,
    'simple',
    `
    SET ROLE tenant; CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, v text); INSERT INTO t (v) SELECT 'v' FROM generate_series(1, 20);
    CREATE EXTENSION pgcrypto; GRANT SELECT ON t TO tenant_app; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO tenant_app USING (true);
    CREATE SCHEMA own; CREATE VIEW own.v AS SELECT * FROM t; RESET ROLE;
    GRANT CONNECT ON DATABASE simple TO tenant_app`,
  );
  await sql(other, 'postgres', "CREATE ROLE builder LOGIN PASSWORD 'builder-password' CREATEDB");
  backup = await backUp(server.url, database('rich'));
  simple = await backUp(server.url, database('simple'));
});

afterAll(async () => {
  await Promise.all([backup?.remove(), simple?.remove(), server?.stop(), other?.stop()]);
});

test('roles that the other server lacks are all named, with the command that brings them', async () => {
  const error = (await prepareRestore(
    setupFor(server.url),
    request(backup, { toServer: other.url }),
    testContext(),
  ).catch((thrown: unknown) => thrown)) as Error;
  expect(error).toMatchObject({
    code: 'restore.roles-missing',
    hint: expect.stringContaining('pgsilo restore FILE @globals'),
  });
  expect(error.message).toContain('"rich reader", rich_app, rich_owner');
  expect(await databasesOf(other)).toEqual(['postgres']);
});

test('without owners and grants it goes, and policies of missing roles are left out by name', async () => {
  const outcome = await restore(
    setupFor(server.url),
    request(backup, { toServer: other.url, owner: false, to: 'copy' }),
  );
  expect(outcome.warnings).toEqual([
    'policy "orders own" is left out, because it names roles that the server lacks ("rich reader", rich_app)',
  ]);
  const owners = await sql(
    other,
    'copy',
    `SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'app'::regnamespace`,
  );
  expect(owners).toEqual([{ owner: 'postgres' }]);
  expect(await sql(other, 'copy', 'SELECT polname FROM pg_policy')).toEqual([{ polname: 'strict' }]);
  await sql(other, 'postgres', 'DROP DATABASE copy');
});

test('a role that may create databases restores as its own, or as the owner that it is a member of', async () => {
  const asBuilder = setupFor(urlFor(server, 'builder', 'builder-password'));
  const own = await restore(asBuilder, request(simple, { owner: false, to: 'copy' }));
  expect(own.warnings).toEqual([]);
  expect(
    await sql(
      server,
      'copy',
      "SELECT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE oid = 't'::regclass",
    ),
  ).toEqual([{ owner: 'builder' }]);
  await sql(server, 'postgres', 'DROP DATABASE copy');

  await expect(prepareRestore(asBuilder, request(simple), testContext())).rejects.toMatchObject({
    code: 'restore.denied', message: expect.stringContaining('no member of roles that own what is restored: tenant'),
    hint: 'GRANT "tenant" TO "builder", or restore with --no-owner.',
  }); // prettier-ignore

  // Of several owners all are named, but for one that is a superuser: being its member would be all power over the server.
  await sql(
    server,
    'simple',
    'CREATE TABLE elevated (); CREATE TABLE other (); ALTER TABLE other OWNER TO tenant_app',
  );
  const mixed = await backUp(server.url, database('simple'));
  await sql(server, 'simple', 'DROP TABLE elevated, other');
  try {
    const error = await prepareRestore(asBuilder, request(mixed), testContext()).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({
      code: 'restore.denied',
      message: expect.stringMatching(/postgres, which is one, owns what is restored: .*TABLE elevated/),
      hint: expect.stringContaining('another owner in the source'),
    });
    const { hint } = error as { hint: string };
    expect(hint).toContain('GRANT "tenant", "tenant_app" TO "builder"');
    expect(hint).not.toContain('postgres');
  } finally {
    await mixed.remove();
  }

  await sql(server, 'postgres', 'GRANT tenant TO builder');
  try {
    const outcome = await restore(asBuilder, request(simple, { to: 'copy' }));
    expect(outcome.warnings).toEqual([]);
    const facts = `SELECT (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()) AS owner, relacl::text,
      pg_get_userbyid(relowner) AS table_owner, (SELECT datacl::text FROM pg_database WHERE datname = current_database()) AS acl FROM pg_class WHERE oid = 't'::regclass`;
    expect(await sql(server, 'copy', facts)).toEqual(await sql(server, 'simple', facts));
    await sql(server, 'postgres', 'DROP DATABASE copy');
  } finally {
    await sql(server, 'postgres', 'REVOKE tenant FROM builder');
  }
});

test('a role that may create nothing, and entries that take a superuser, are named before anything is written', async () => {
  const before = await databasesOf(server);
  await sql(server, 'postgres', "CREATE ROLE nobody LOGIN PASSWORD 'nobody-password'");
  await sql(
    server,
    'simple',
    `
    CREATE FUNCTION "ha;rd"() RETURNS void LANGUAGE sql LEAKPROOF AS 'SELECT'; CREATE PUBLICATION "all" FOR ALL TABLES; CREATE EXTENSION postgres_fdw;
    CREATE FUNCTION easy() RETURNS text LANGUAGE sql AS $$ SELECT 'LANGUAGE c LEAKPROOF' $$;
    CREATE FUNCTION clike(int) RETURNS int LANGUAGE internal AS 'int4um';
    CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION watch()`,
  );
  const hard = await backUp(server.url, database('simple'));
  try {
    const error = (await prepareRestore(
      setupFor(urlFor(server, 'nobody', 'nobody-password')),
      request(hard, { owner: false, to: 'copy' }),
      testContext(),
    ).catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'restore.denied' });
    expect(error.message).toContain('may not create databases');
    for (const entry of [
      '"ha;rd()"',
      'PUBLICATION all',
      'EXTENSION postgres_fdw',
      'clike(integer)',
      'EVENT TRIGGER watcher',
    ])
      expect(error.message).toContain(entry);
    expect(error.message).not.toContain('easy');
    expect(error.message).not.toContain('pgcrypto');
  } finally {
    await hard.remove();
    await sql(
      server,
      'simple',
      'DROP EVENT TRIGGER watcher; DROP FUNCTION watch, easy, clike, "ha;rd"; DROP PUBLICATION "all"; DROP EXTENSION postgres_fdw',
    );
  }
  expect(await databasesOf(server)).toEqual(before);
});

test('roles are read out of grants and policies, whatever they are called', () => {
  const entry = (desc: string, definition: string): TocEntry => ({ desc, definition }) as TocEntry;
  expect(
    rolesOfGrants(
      entry(
        'ACL',
        `
    REVOKE ALL ON FUNCTION x."TO"(a integer, "TO" text) FROM PUBLIC;
    SET SESSION AUTHORIZATION 'it''s me';
    GRANT SELECT("to"),UPDATE(b) ON TABLE s."GRANT ; TO x" TO "a ""b"";c" WITH GRANT OPTION;
    RESET SESSION AUTHORIZATION; GRANT ALL ON SCHEMA s TO plain GRANTED BY boss;`,
      ),
    ),
  ).toEqual(["it's me", 'a "b";c', 'plain', 'boss']);
  expect(
    rolesOfGrants(
      entry(
        'DEFAULT ACL',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "o p" IN SCHEMA app GRANT SELECT ON TABLES  TO q;',
      ),
    ),
  ).toEqual(['o p', 'q']);
  expect(rolesOfGrants(entry('TABLE', 'GRANT x TO y'))).toEqual([]);
  const policy = entry(
    'POLICY',
    `CREATE POLICY "TO x" ON a.b AS RESTRICTIVE FOR SELECT TO r, "s, t" USING ((c TO d));`,
  );
  expect(rolesNamed(policy)).toEqual(['r', 's, t']);
  expect(isRestrictive(policy)).toBe(true);
  expect(rolesNamed(entry('POLICY', 'CREATE POLICY p ON t USING (true);'))).toEqual([]);
  expect(
    rolesNamed(entry('USER MAPPING', `CREATE USER MAPPING FOR "r s" SERVER x OPTIONS (password 'y');`)),
  ).toEqual(['r s']);
  expect(rolesNamed(entry('USER MAPPING', 'CREATE USER MAPPING FOR PUBLIC SERVER x;'))).toEqual([]);
});
