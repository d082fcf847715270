import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type {
  BackupView,
  Examination,
  ProofCheck,
  ScratchRequest,
  ScratchServer,
  Source,
} from '@pgsilo/plugin';
import { identityOf, ownIdentity } from '@pgsilo/plugin/process-identity';
import { parseConnection } from '@pgsilo/postgres';
import { testContext, type TestContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { globalsUnit } from '@pgsilo/postgres';
import { options } from '../src/options.ts';
import { createSource } from '../src/source.ts';
import { backUp, database, request, type TestBackup } from './backups.ts';
import { databasesOf, sql, urlFor } from './servers.ts';

const rich = readFileSync(
  join(dirname(fileURLToPath(import.meta.url)), '../../../packages/postgres/test/fixtures/rich.sql'),
  'utf8',
);
/** What PostgreSQL prints otherwise after it has read its own output: a list of varchars, columns of a child. */
const rereading = `
  CREATE TABLE app.states (state varchar(20) CHECK (state IN ('new', 'paid', 'sent')), at timestamp with time zone DEFAULT '2026-01-01'::timestamp with time zone);
  CREATE VIEW app.paid AS SELECT state FROM app.states WHERE state IN ('paid', 'sent') AND length(state) > 1;
  CREATE TABLE app.parent (a int, b int); CREATE TABLE app.heir (c int) INHERITS (app.parent); ALTER TABLE app.parent ADD COLUMN d int;
  CREATE TABLE app.guarded (id int PRIMARY KEY); COMMENT ON TABLE app.parent IS 'kept'; GRANT SELECT ON app.parent TO "granted only"; ALTER TABLE app.guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE app.guarded FORCE ROW LEVEL SECURITY;`;

let server: ThrowawayPostgres;
let folder: string;
let backup: TestBackup;
let globals: TestBackup;
let source: Source;
const context: TestContext = testContext();

beforeAll(async () => {
  server = await startPostgres();
  // Where the user that servers run as may pass through.
  folder = mkdtempSync('/tmp/pgsilo-proof-test-');
  chmodSync(folder, 0o711);
  const space = join(folder, 'space');
  mkdirSync(space);
  if (process.getuid?.() === 0) execFileSync('chown', ['--reference', server.dataFolder, space]);
  await sql(
    server,
    'postgres',
    `CREATE ROLE rich_owner; CREATE ROLE rich_app; CREATE ROLE "rich reader"; CREATE ROLE "granted only"; CREATE ROLE "o'd ""d" LOGIN PASSWORD 'a-password'; GRANT rich_app TO "o'd ""d"`,
  );
  await sql(server, 'postgres', `CREATE TABLESPACE "s'pace" LOCATION '${space}'`);
  await sql(server, 'postgres', 'CREATE DATABASE rich TEMPLATE template0 OWNER rich_owner');
  await sql(server, 'rich', rich);
  await sql(server, 'rich', rereading);
  await sql(
    server,
    'rich',
    `CREATE TABLE app.elsewhere (a int) TABLESPACE "s'pace"; ALTER TABLE app.elsewhere OWNER TO "o'd ""d"`,
  );
  [backup, globals] = [await backUp(server.url, database('rich')), await backUp(server.url, globalsUnit)];
  const setup = { pipeline: 'test', folder: '/tmp', log: context.log };
  source = createSource(options.parse({ connection: server.url, match: '*' }), setup);
});
afterAll(async () => {
  await source?.close();
  await server?.stop();
  for (const one of [backup, globals]) await one?.remove();
  if (folder) rmSync(folder, { recursive: true, force: true });
  await context.dispose();
});

const opened = new Set<ScratchServer>();
afterEach(async () => {
  for (const one of opened) await one.close();
  opened.clear();
});

async function scratch(more: Partial<ScratchRequest> = {}): Promise<ScratchServer> {
  const one = await source.scratch!({ serverVersion: server.major.toString(), folder, ...more }, context);
  opened.add(one);
  return one;
}

async function close(one: ScratchServer): Promise<void> {
  opened.delete(one);
  await one.close();
}

/** Restores a copy, lets `change` do something to it, and looks at it. */
async function prove(
  one: ScratchServer,
  {
    change,
    checks = [],
    of = backup,
    bare = false,
  }: {
    change?: string;
    checks?: readonly ProofCheck[];
    of?: BackupView;
    bare?: boolean;
  } = {},
): Promise<Examination> {
  await one.prepare(of, bare ? undefined : globals, context);
  const restoration = await source.restore(
    request(of, { to: one.copyName(of)!, toServer: one.connection }),
    context,
  );
  try {
    const { target } = await restoration.run();
    if (change !== undefined) psql(one, target, change);
    return await one.examine(target, of, checks, context);
  } finally {
    await restoration.close();
    await one.remove(of, context);
  }
}

function psql(one: ScratchServer, name: string, text: string): string {
  const conninfo = one.connection.startsWith('postgres')
    ? one.connection
    : `${one.connection} dbname='${name}'`;
  return execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', conninfo, '-c', text], {
    encoding: 'utf8',
  });
}

const foldersLeft = (): string[] => readdirSync(folder).filter((name) => name.startsWith('pgsilo-server-'));
const processesLeft = (): string[] =>
  execFileSync('ps', ['-A', '-ww', '-o', 'pid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(`${folder}/pgsilo-server-`));

describe('a throwaway server', () => {
  it('takes a database with everything that one can have, and finds it equal', async () => {
    const one = await scratch();
    const { compared, differences } = await prove(one);
    expect(differences).toEqual([]);
    expect(compared).toEqual([expect.stringMatching(/^schema: \d\d+ objects$/)]);
    expect(one.about).toMatch(/throwaway server of PostgreSQL \d/);
  });

  it('names each thing that is not as it was, and nothing else', async () => {
    const changes = [
      'DROP INDEX app.orders_note',
      'CREATE TABLE app.more ()',
      'ALTER TABLE app.orders ALTER note SET DEFAULT 0',
      'ALTER TABLE app.guarded OWNER TO rich_app',
      'GRANT DELETE ON app.states TO PUBLIC',
      'REVOKE SELECT ON app.parent FROM "granted only"',
      "ALTER TABLE app.states DROP CONSTRAINT states_state_check, ADD CONSTRAINT states_state_check CHECK (state IN ('new', 'paid'))",
      'CREATE OR REPLACE FUNCTION app.double(x integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN x * 3',
      "COMMENT ON TABLE app.parent IS 'another'",
      'ALTER POLICY own ON app.orders TO rich_app',
    ];
    const { differences } = await prove(await scratch(), { change: changes.join('; ') });
    expect([...differences].sort()).toEqual([
      'ACL app."TABLE parent" is not there',
      'ACL app."TABLE states" is not in the backup',
      'COMMENT app."TABLE parent" is defined otherwise',
      'CONSTRAINT app."guarded guarded_pkey" belongs to rich_app, in the backup to postgres',
      'FUNCTION app."double(integer)" is defined otherwise',
      'INDEX app.orders_note is not there',
      'POLICY app."orders own" is defined otherwise',
      'ROW SECURITY app.guarded belongs to rich_app, in the backup to postgres',
      'TABLE app.guarded belongs to rich_app, in the backup to postgres',
      'TABLE app.more is not in the backup',
      'TABLE app.orders is defined otherwise',
      'TABLE app.states is defined otherwise',
    ]);
  });

  it('can be reached by nobody else, and keeps nothing', async () => {
    const one = await scratch();
    const [name] = foldersLeft();
    const cluster = join(folder, name!, 'cluster');
    expect(execFileSync('stat', ['-c', '%a', cluster], { encoding: 'utf8' }).trim()).toBe('700');
    const setting = (what: string): string => psql(one, 'postgres', `SHOW ${what}`).trim();
    expect(setting('listen_addresses')).toBe('');
    expect([setting('archive_mode'), setting('autovacuum'), setting('fsync')]).toEqual(['off', 'off', 'off']);
    await close(one);
    expect(foldersLeft()).toEqual([]);
    expect(processesLeft()).toEqual([]);
  });

  it('makes roles as they were, without touching the folders of the live tablespaces', async () => {
    const one = await scratch();
    await one.prepare(backup, globals, context);
    expect(psql(one, 'postgres', `SELECT rolcanlogin FROM pg_roles WHERE rolname = 'o''d "d'`).trim()).toBe(
      't',
    );
    expect(psql(one, 'postgres', `SELECT pg_has_role('o''d "d', 'rich_app', 'MEMBER')`).trim()).toBe('t');
    const places = psql(one, 'postgres', 'SELECT pg_tablespace_location(oid) FROM pg_tablespace').trim();
    expect(places).toContain('/pgsilo-server-');
    expect(places).not.toContain(join(folder, 'space'));
  });

  it('makes roles that can do nothing where no globals tell of them', async () => {
    const one = await scratch();
    const { differences } = await prove(one, { bare: true });
    expect(differences).toEqual([]);
    expect(psql(one, 'postgres', `SELECT rolcanlogin FROM pg_roles WHERE rolname = 'o''d "d'`).trim()).toBe(
      'f',
    );
  });

  it('must be of the right version, and says what else would do', async () => {
    await expect(scratch({ serverVersion: '9.1' })).rejects.toMatchObject({
      code: 'source.tool-missing',
      message: expect.stringContaining('no PostgreSQL 9 server (initdb, postgres) is installed'),
      hint: expect.stringContaining('scratch: { connection:'),
    });
    expect(foldersLeft()).toEqual([]);
  });

  it('needs a user that it can run as, and a folder that this user can reach', async () => {
    const root = process.getuid?.() === 0;
    const closed = join(folder, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    await expect(scratch(root ? { folder: closed } : { user: 'nobody' })).rejects.toMatchObject({
      code: 'config.invalid',
      message: expect.stringContaining(
        root ? `may not pass through ${closed}` : 'only root can start a server as another user',
      ),
    });
    for (const user of ['no such user', 'root', '-u'])
      await expect(scratch({ user })).rejects.toMatchObject({ code: 'config.invalid' });
  });

  it('is removed by the next one when pgsilo was killed together with what watches it', async () => {
    const script = join(folder, 'killed.ts');
    const entry = join(import.meta.dirname, '../src/source.ts');
    writeFileSync(
      script,
      `import { createSource } from ${JSON.stringify(entry)};
       import { options } from ${JSON.stringify(join(import.meta.dirname, '../src/options.ts'))};
       import { testContext } from ${JSON.stringify(join(import.meta.dirname, '../../../packages/testkit/src/index.ts'))};
       import { execSync } from 'node:child_process';
       const context = testContext();
       const source = createSource(options.parse({ connection: ${JSON.stringify(server.url)}, match: '*' }), { pipeline: 'x', folder: '/tmp', log: context.log });
       await source.scratch({ serverVersion: '${server.major}', folder: ${JSON.stringify(folder)} }, context);
       if (process.argv[2] === 'both') execSync("ps -A -ww -o pid=,args= | grep '[p]gsilo-scratch-guard ${folder}' | awk '{print $1}' | xargs kill -9");
       process.kill(process.pid, 'SIGKILL');`,
    );
    const killed = (what: string): void =>
      void spawnSync(process.execPath, [script, what], { stdio: 'inherit' });
    killed('both');
    expect(foldersLeft()).toHaveLength(1);
    expect(processesLeft().some((line) => line.includes('postgres -D'))).toBe(true);
    await close(await scratch());
    expect(foldersLeft()).toEqual([]);
    expect(processesLeft()).toEqual([]);
    killed('pgsilo alone');
    await expect.poll(() => [...foldersLeft(), ...processesLeft()], { timeout: 30_000 }).toEqual([]);
  });

  it('is not ended by a folder that somebody else made', async () => {
    if (process.getuid?.() !== 0) return;
    const forged = join(folder, 'pgsilo-server-0123456789ab');
    const victim = spawnSync('sh', ['-c', 'sleep 60 >/dev/null 2>&1 & echo $!'], { encoding: 'utf8' });
    const pid = Number(victim.stdout);
    mkdirSync(forged);
    writeFileSync(join(forged, 'owner'), ownIdentity().replace(/-\d+-\d+$/, '-999999-1'));
    writeFileSync(join(forged, 'server'), identityOf(pid));
    execFileSync('chown', ['nobody', forged]);
    try {
      await scratch();
      expect(existsSync(forged)).toBe(true);
      expect(() => process.kill(pid, 0)).not.toThrow();
    } finally {
      process.kill(pid, 'SIGKILL');
      rmSync(forged, { recursive: true });
    }
  });
});

describe('a check', () => {
  const check = (statement: string, more: Partial<ProofCheck> = {}): ProofCheck => ({
    name: statement,
    sql: statement,
    expect: true,
    timeout: 5000,
    ...more,
  });

  it('passes, fails, breaks or takes too long, and never writes', async () => {
    const checks = [
      check('SELECT count(*) > 0 FROM app.orders'),
      check('SELECT count(*) FROM app.states', { expect: 0 }),
      check('SELECT NULL', { expect: null }),
      check("SELECT 'x'", { expect: 'x' }),
      check('SELECT false'),
      check('SELECT NULL '),
      check('SELECT 1 FROM app.nothing'),
      check('SELECT 1, 2'),
      check('SELECT true WHERE false'),
      check('SELECT pg_sleep(60) IS NULL', { timeout: 200 }),
      check("INSERT INTO app.states VALUES ('new') RETURNING true"),
      check('SELECT true; DROP TABLE app.states'),
    ];
    const { checks: outcomes } = await prove(await scratch(), { checks });
    expect(outcomes.map(({ status, message }) => (status === 'ok' ? 'ok' : message))).toEqual([
      'ok',
      'ok',
      'ok',
      'ok',
      'it gave false where true is expected',
      'it gave null where true is expected',
      'relation "app.nothing" does not exist',
      'it gave 1 row of 2 columns, where it must give one value',
      'it gave 0 rows of 1 column, where it must give one value',
      'it took longer than 0.2 s',
      'cannot execute INSERT in a read-only transaction',
      'cannot insert multiple commands into a prepared statement',
    ]);
  });
});

describe('a server that is named', () => {
  let other: ThrowawayPostgres;
  beforeAll(async () => {
    other = await startPostgres();
    await sql(other, 'postgres', "CREATE ROLE worker LOGIN CREATEDB CREATEROLE PASSWORD 'worker-password'");
  });
  afterAll(() => other?.stop());
  const roles = async (): Promise<string[]> =>
    (await sql(other, 'postgres', 'SELECT rolname FROM pg_roles ORDER BY 1')).map((row) => row.rolname);

  it('is left as it was found', async () => {
    const before = [await databasesOf(other), await roles()];
    const one = await scratch({ connection: other.url });
    const { differences } = await prove(one);
    expect(differences).toEqual([]);
    expect(one.unfit(globals)).toContain('leave scratch.connection out');
    expect(one.unfit(backup)).toBeUndefined();
    await close(one);
    expect([await databasesOf(other), await roles()]).toEqual(before);
  });

  it('gets no roles that could do anything', async () => {
    const one = await scratch({ connection: other.url });
    await one.prepare(backup, globals, context);
    const made = await sql(
      other,
      'postgres',
      `SELECT rolcanlogin, rolpassword IS NULL AS bare FROM pg_authid WHERE rolname = 'o''d "d'`,
    );
    expect(made).toEqual([{ rolcanlogin: false, bare: true }]);
  });

  it('is swept of what a process left that is gone, and of nothing else', async () => {
    const gone = ownIdentity().replace(/-\d+-\d+$/, '-999999-1');
    const name = (identity: string): string => `pgsilo_proof_${identity.replaceAll('-', '_')}_1`;
    const comment = (identity: string): string => `made by pgsilo to prove backups, by process ${identity}`;
    for (const identity of [gone, ownIdentity()]) {
      await sql(other, 'postgres', `CREATE DATABASE ${name(identity)}`);
      const role = `"role of ${identity}"`;
      await sql(other, 'postgres', `CREATE ROLE ${role}; COMMENT ON ROLE ${role} IS '${comment(identity)}'`);
      await sql(other, name(identity), `ALTER SCHEMA public OWNER TO ${role}`);
    }
    await sql(other, 'postgres', 'CREATE DATABASE pgsilo_proof_of_mine');
    await close(await scratch({ connection: other.url }));
    expect(await databasesOf(other)).toEqual(
      [name(ownIdentity()), 'pgsilo_proof_of_mine', 'postgres'].sort(),
    );
    expect((await roles()).filter((role) => role.startsWith('role of'))).toEqual([
      `role of ${ownIdentity()}`,
    ]);
    await sql(other, 'postgres', `DROP DATABASE ${name(ownIdentity())}`);
    await sql(other, 'postgres', `DROP ROLE "role of ${ownIdentity()}"`);
  });

  it('needs no superuser for a backup that needs none', async () => {
    await sql(server, 'postgres', 'CREATE DATABASE plain OWNER rich_owner');
    await sql(
      server,
      'plain',
      'SET ROLE rich_owner; CREATE SCHEMA app; CREATE TABLE app.t (a int); INSERT INTO app.t VALUES (1)',
    );
    const plain = await backUp(server.url, database('plain'));
    const before = [await databasesOf(other), await roles()];
    const one = await scratch({ connection: urlFor(other, 'worker', 'worker-password') });
    expect(parseConnection(one.connection).user).toBe('worker');
    expect((await prove(one, { of: plain })).differences).toEqual([]);
    await close(one);
    await plain.remove();
    expect([await databasesOf(other), await roles()]).toEqual(before);
  });
});
