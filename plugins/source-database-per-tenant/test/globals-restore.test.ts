import { mkdtempSync, chownSync, statSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { readGlobalsFile } from '@pgsilo/postgres';
import { globalsUnit } from '@pgsilo/postgres';
import { inspectBackup } from '../src/inspect.ts';
import { prepareRestore } from '../src/restore.ts';
import { backUp, request, restore, setupFor, type TestBackup } from './backups.ts';
import { sql, urlFor } from './servers.ts';

const attributes = `SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolpassword,
  rolvaliduntil, shobj_description(oid, 'pg_authid') AS comment, (SELECT setconfig FROM pg_db_role_setting WHERE setrole = a.oid AND setdatabase = 0) AS config,
  ARRAY(SELECT pg_get_userbyid(roleid) || admin_option::text FROM pg_auth_members WHERE member = a.oid ORDER BY 1) AS of
  FROM pg_authid a WHERE rolname !~ '^(pg_|postgres$)' ORDER BY rolname`;
let server: ThrowawayPostgres;
let other: ThrowawayPostgres;
let backup: TestBackup;
let folder: string;

beforeAll(async () => {
  [server, other] = await Promise.all([startPostgres(), startPostgres()]);
  folder = mkdtempSync(join(tmpdir(), 'pgsilo-tablespace-'));
  const { uid, gid } = statSync(server.dataFolder);
  chownSync(folder, uid, gid);
  await sql(
    server,
    'postgres',
    `
    CREATE ROLE plain; CREATE ROLE "we""ird; DROP
role" LOGIN PASSWORD 'sec''ret; --' VALID UNTIL '2031-01-01 00:00:00+00' CONNECTION LIMIT 3;
    CREATE ROLE admin SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS NOINHERIT;
    COMMENT ON ROLE plain IS E'a \\\\ comment; with ''quotes''
and lines'; ALTER ROLE plain SET search_path TO "we ird", public; ALTER ROLE plain SET work_mem TO '3MB';
    GRANT plain TO "we""ird; DROP
role" WITH ADMIN OPTION; GRANT plain TO admin`,
  );
  await sql(server, 'postgres', `CREATE TABLESPACE fast OWNER plain LOCATION '${folder}'`);
  await sql(server, 'postgres', 'GRANT CREATE ON TABLESPACE fast TO admin');
  backup = await backUp(server.url, globalsUnit);
});

afterAll(async () => {
  await Promise.all([backup?.remove(), server?.stop(), other?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

test('the file is read, and its end proved', async () => {
  expect((await inspectBackup(backup, testContext())).summary).toBe('4 roles');
  const whole = readFileSync(backup.path('globals.sql'));
  const cut = await backup.with(
    'globals.sql',
    whole.subarray(0, whole.indexOf('PostgreSQL database cluster dump complete')),
  );
  await expect(inspectBackup(cut, testContext())).rejects.toMatchObject({ code: 'source.archive-invalid' });
  await cut.remove();
  expect(readGlobalsFile(whole).filter((statement) => statement.kind === 'unknown')).toEqual([]);
});

test('roles that exist are compared and left alone, missing ones come back as they were', async () => {
  await sql(other, 'postgres', "CREATE ROLE plain LOGIN CONNECTION LIMIT 9 PASSWORD 'own'");
  const prepared = await prepareRestore(
    setupFor(server.url),
    request(backup, { toServer: other.url }),
    testContext(),
  );
  expect(prepared.replaces).toBeUndefined();
  expect(prepared.plan.join('\n')).toContain('superusers: admin');
  const before = await sql(other, 'postgres', `SELECT * FROM (${attributes}) AS a WHERE rolname = 'plain'`);
  const outcome = await prepared.run();
  await prepared.close();
  expect(outcome.warnings.join('\n')).toContain(
    'role plain exists and is left as it is; in the backup it was NOLOGIN CONNECTION LIMIT -1',
  );
  expect(JSON.stringify([prepared.plan, outcome])).not.toContain('SCRAM');
  expect(await sql(other, 'postgres', `SELECT * FROM (${attributes}) AS a WHERE rolname = 'plain'`)).toEqual(
    before,
  );
  const restored = await sql(
    other,
    'postgres',
    `SELECT * FROM (${attributes}) AS a WHERE rolname <> 'plain'`,
  );
  expect(restored).toEqual(
    await sql(server, 'postgres', `SELECT * FROM (${attributes}) AS a WHERE rolname <> 'plain'`),
  );
  expect(restored).toHaveLength(2);
  // The folder is taken by the first server: a warning, and the roles are there all the same.
  expect(outcome.warnings.join('\n')).toContain('CREATE TABLESPACE fast');

  const again = await restore(setupFor(server.url), request(backup, { toServer: other.url }));
  expect(again.compared).toBe('4 existing roles; created: no roles');
});

test('a role that may create roles restores plain ones; what it may not is refused as a whole', async () => {
  const third = await startPostgres();
  try {
    await sql(third, 'postgres', "CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'maker-password'");
    const asMaker = { toServer: urlFor(third, 'maker', 'maker-password') };
    await expect(restore(setupFor(server.url), request(backup, asMaker))).rejects.toMatchObject({
      code: 'restore.denied',
    });
    expect(await sql(third, 'postgres', `SELECT rolname FROM (${attributes}) AS a`)).toEqual([
      { rolname: 'maker' },
    ]);
    await sql(server, 'postgres', 'ALTER ROLE admin NOSUPERUSER NOREPLICATION NOBYPASSRLS NOCREATEDB');
    const modest = await backUp(server.url, globalsUnit);
    const outcome = await restore(setupFor(server.url), request(modest, asMaker));
    await modest.remove();
    expect(outcome.compared).toContain('1 existing role; created: roles');
    expect(await sql(third, 'postgres', `SELECT count(*)::int AS roles FROM (${attributes}) AS a`)).toEqual([
      { roles: 4 },
    ]);
  } finally {
    await third.stop();
  }
});

test('statements that nobody expects are not run', async () => {
  const text = readFileSync(backup.path('globals.sql'), 'utf8');
  const with_ = (extra: string): Buffer =>
    Buffer.from(text.replace('-- Roles\n--\n', `-- Roles\n--\n${extra}\n`));
  expect(readGlobalsFile(with_('DROP ROLE plain; CREATE ROLE x SUPERUSER;')).filter((each) => each.kind === 'unknown').map((each) => each.sql)).toEqual([
    'DROP ROLE plain', 'CREATE ROLE x SUPERUSER',
  ]); // prettier-ignore
  expect(() => readGlobalsFile(with_('\\! touch /tmp/pwned'))).toThrow(/command of psql/);
  expect(() => readGlobalsFile(with_('\\restrict `id`'))).toThrow(/command of psql/);
  expect(() => readGlobalsFile(with_("COMMENT ON ROLE plain IS 'open;"))).toThrow(
    /not understood|does not end/,
  );
  expect(readGlobalsFile(with_('\\restrict abc123\n\\unrestrict abc123'))).toEqual(
    readGlobalsFile(Buffer.from(text)).map((each) => ({ ...each, tokens: expect.anything() })),
  );
});

test('what does not fit the whole server is refused', async () => {
  for (const more of [{ to: 'x' }, { replace: true }, { tables: ['a.b'] }]) {
    await expect(
      prepareRestore(setupFor(server.url), request(backup, more), testContext()),
    ).rejects.toMatchObject({ code: 'restore.refused' });
  }
});
