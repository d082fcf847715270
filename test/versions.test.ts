import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentOf, settingsOf, textOf } from './services/equality.ts';
import { writePipeline } from './services/fleet.ts';
import { pgsilo, pgsiloOk, type CallOptions, type Ended } from './services/pgsilo.ts';
import { availablePostgres, installPostgres, type PostgresPrograms } from './services/postgres.ts';
import { startServer, type TestServer } from './services/server.ts';
import { createVersionFleet, tenantsOf, type VersionTenant } from './services/version-fleet.ts';

// Installed while the tests are collected: which there are depends on it.
const system = (await availablePostgres())[0]!;
const wanted = [system, await installPostgres(17), await installPostgres(18)];
const versions = wanted.filter(({ major }, index) => index === 0 || major !== system.major);
const latest = versions.find((one): one is PostgresPrograms => one.major === 18 && 'bin' in one);

/** A database as PostgreSQL's own means show it. */
interface State {
  readonly text: string;
  readonly content: readonly string[];
  readonly settings: object;
  /** Encoding, provider, locales and rules: whatever columns the version has, without what differs between any two databases. */
  readonly row: Readonly<Record<string, unknown>>;
}

interface Fleet {
  readonly server: TestServer;
  readonly at: CallOptions;
  readonly tenants: readonly VersionTenant[];
  /** By database, before anything happened to it. */
  readonly before: ReadonlyMap<string, State>;
  /** The tenants as scripts of the latest version's pg_dump, by database; a reference for an upgrade. */
  readonly scripts: ReadonlyMap<string, string>;
  /** The first backup's document. */
  readonly backup: Ended;
}

const fleets = new Map<number, Promise<Fleet>>();
afterAll(async () => {
  for (const fleet of await Promise.allSettled(fleets.values())) {
    if (fleet.status === 'fulfilled') await fleet.value.server.stop();
  }
});

/** A version's fleet, backed up once by the client programs of that version. */
function fleetOf(programs: PostgresPrograms): Promise<Fleet> {
  const there = fleets.get(programs.major) ?? startFleet(programs);
  fleets.set(programs.major, there);
  return there;
}

async function startFleet({ major, bin }: PostgresPrograms): Promise<Fleet> {
  const server = await startServer({ bin });
  const tenants = tenantsOf(major);
  const before = new Map<string, State>();
  const scripts = new Map<string, string>();
  const at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
  await createVersionFleet(server);
  for (const { database } of tenants) {
    before.set(database, await stateOf(server, database));
    if (latest && major < latest.major)
      scripts.set(database, await textOf({ ...server, bin: latest.bin }, database));
  }
  const backup = await pgsiloOk(['backup', pipelineWith(server, bin), '--json'], at);
  return { server, at, tenants, before, scripts, backup };
}

/** (Re)writes the fleet's pipeline file; its backups stay. */
function pipelineWith(server: TestServer, bin: string): string {
  return writePipeline(server, { source: `  fingerprint: content\n  bin: ${JSON.stringify(bin)}` });
}

async function stateOf(server: TestServer, database: string): Promise<State> {
  const [text, content, settings, rows] = await Promise.all([
    textOf(server, database),
    contentOf(server, database),
    settingsOf(server, database),
    server.query(
      'postgres',
      `SELECT to_jsonb(d) - '{oid,datname,datacl,datfrozenxid,datminmxid}'::text[] AS row FROM pg_database d WHERE datname = $1`,
      [database],
    ),
  ]);
  return { text, content, settings, row: rows[0]!['row'] };
}

for (const version of versions) {
  const reason = 'unavailable' in version ? ` (${version.unavailable})` : '';
  describe.skipIf(reason !== '')(`PostgreSQL ${version.major}${reason}`, () => {
    describeVersion(version as PostgresPrograms);
  });
}

/** What is promised of every version. */
function describeVersion(programs: PostgresPrograms): void {
  const { major, bin } = programs;
  const tenants = tenantsOf(major);
  const units = ['@globals', 'vigia_master', ...tenants.map(({ unit }) => unit)].sort();
  let fleet: Fleet;
  let file: string;

  beforeAll(async () => {
    fleet = await fleetOf(programs);
    file = pipelineWith(fleet.server, bin);
  });

  it('is found healthy, and backed up by the client programs of its own version', async () => {
    expect(fleet.server.major).toBe(major);
    const doctor = await pgsiloOk(['doctor', file, '--json'], fleet.at);
    expect(doctor.json()).toMatchObject({ status: 'ok' });
    const [run] = fleet.backup.json()['runs'];
    expect(run.report).toMatchObject({ status: 'ok' });
    expect(run.report.units.map((unit: any) => unit.unit).toSorted()).toEqual(units);
    const shown = await pgsiloOk(['show', file, 'plain', '--json'], fleet.at);
    expect(shown.stdout).toContain(`"pg_dump ${major}.`);
  });

  it('is verified at level decode', async () => {
    const report = (await pgsiloOk(['verify', file, '--level', 'decode', '--json'], fleet.at)).json();
    expect(report['status']).toBe('ok');
    expect(report['checked'].map((one: any) => one.unit).toSorted()).toEqual(units);
  });

  it.each(tenants)('gives back $unit as it was, whatever became of it since', async ({ unit, database }) => {
    const was = fleet.before.get(database)!;
    await fleet.server.query(database, 'DELETE FROM app.events; DROP TABLE app.sealed CASCADE');
    const call = ['restore', file, unit, '--to', `${unit}_restored`, '--json'];
    const { target, compared } = (await pgsiloOk(call, fleet.at)).json();
    expect(compared).toMatch(/\d+ tables/);
    expect(await stateOf(fleet.server, target)).toEqual(was);
    expect(await contentOf(fleet.server, database)).not.toEqual(was.content);
  });

  it('keeps no session and no unfinished database', async () => {
    expect(await fleet.server.sessionsOfPgsilo()).toEqual([]);
    expect((await fleet.server.databases()).filter((name) => name.startsWith('pgsilo'))).toEqual([]);
  });
}

describe.skipIf(!latest || latest.major === system.major)('two versions', () => {
  let older: Fleet;
  let newer: Fleet;
  beforeAll(async () => {
    older = await fleetOf(system);
    newer = await fleetOf(latest!);
  });

  describe('an upgrade', () => {
    let target: TestServer;
    let file: string;
    let at: CallOptions;

    beforeAll(async () => {
      target = await startServer({ bin: latest!.bin });
      file = pipelineWith(older.server, latest!.bin);
      at = { ...older.at, env: { ...older.at.env, TARGET_URL: target.url } };
      await pgsiloOk(['restore', file, '@globals', '--to-server', 'env:TARGET_URL'], at);
    });
    afterAll(async () => target?.stop());

    it.each(tenantsOf(system.major))(
      'restores $unit of the older server into the newer, as pg_dump and psql do',
      async (tenant) => {
        const { unit, database, creation } = tenant;
        const was = older.before.get(database)!;
        await pgsiloOk(['restore', file, unit, '--to-server', 'env:TARGET_URL', '--to', database], at);
        const reference = `reference_${unit}`;
        await target.query('postgres', `CREATE DATABASE ${reference} TEMPLATE template0 ${creation}`);
        await runScript(target, reference, older.scripts.get(database)!);
        const is = await stateOf(target, database);
        const expected = await stateOf(target, reference);
        expect(is.text).toBe(expected.text);
        expect(is.content).toEqual(was.content);
        expect(is.settings).toEqual(was.settings);
        for (const column of ['datlocprovider', 'datlocale', 'daticurules'])
          expect(is.row[column]).toEqual(expected.row[column]);
      },
    );
  });

  describe('a server that was made with ICU rules', () => {
    let target: TestServer;
    let at: CallOptions;
    beforeAll(async () => {
      const initdb = ['--locale-provider=icu', '--icu-locale=en', '--icu-rules=&z < a'];
      target = await startServer({ bin: latest!.bin, initdb });
      at = { ...older.at, env: { ...older.at.env, TARGET_URL: target.url } };
    });
    afterAll(async () => target?.stop());
    const restoreInto = (unit: string): Promise<Ended> => {
      const file = pipelineWith(older.server, latest!.bin);
      return pgsilo(
        ['restore', file, unit, '--no-owner', '--to-server', 'env:TARGET_URL', '--to', 'copy'],
        at,
      );
    };

    it('does not give them to a database that had none', async () => {
      expect((await restoreInto('icu')).exit).toBe(0);
      const sorted = `SELECT array_agg(x ORDER BY x) AS x FROM unnest('{a,z}'::text[]) x`;
      expect(await target.query('postgres', sorted)).toEqual([{ x: ['z', 'a'] }]);
      expect(await target.query('copy', sorted)).toEqual([{ x: ['a', 'z'] }]);
      await target.query('postgres', 'DROP DATABASE copy');
    });

    it('refuses a database of another provider before anything is made', async () => {
      const result = await restoreInto('plain');
      expect(result.exit).toBe(2);
      expect(result.stderr).toMatch(/^error .*initdb --icu-rules.*provider libc/m);
      expect(result.stderr).not.toContain('left behind');
      expect(await target.databases()).toEqual(['postgres']);
    });
  });

  it('a downgrade is refused in one clear message, before anything is made', async () => {
    const file = pipelineWith(newer.server, latest!.bin);
    const at = { ...newer.at, env: { ...newer.at.env, OLDER_URL: older.server.url } };
    const databases = await older.server.databases();
    const result = await pgsilo(
      ['restore', file, 'plain', '--to-server', 'env:OLDER_URL', '--to', 'down'],
      at,
    );
    expect(await older.server.databases()).toEqual(databases);
    expect(result.stderr.match(/^error .*$/gm)).toHaveLength(1);
    expect(result.stderr).toContain('restore.refused');
    expect(result.stderr).toMatch(new RegExp(`^error .*18.*${system.major}`, 'm'));
    expect(result.stderr).not.toContain('create the database');
    expect(result.exit).toBe(2);
  });

  it('the older server can have back what newer client programs have backed up of it', async () => {
    const file = pipelineWith(older.server, latest!.bin);
    const [first] = older.tenants;
    const was = await stateOf(older.server, first!.database);
    await pgsiloOk(['backup', file, '--only', first!.unit], older.at);
    const { target } = (
      await pgsiloOk(['restore', file, first!.unit, '--to', 'by_newer', '--json'], older.at)
    ).json();
    expect(await stateOf(older.server, target)).toEqual(was);
    const doctor = await pgsiloOk(['doctor', file], older.at);
    expect(doctor.all).toMatch(
      new RegExp(
        `pg_restore +18\\.\\d+ is the one to restore with, and PostgreSQL ${system.major} does not know`,
      ),
    );
  });

  it('only older client programs are refused an archive of newer ones, which is not the server', async () => {
    const file = pipelineWith(older.server, latest!.bin);
    const [first] = older.tenants;
    await pgsiloOk(['backup', file, '--only', first!.unit], older.at);
    pipelineWith(older.server, system.bin);
    const result = await pgsilo(['restore', file, first!.unit, '--to', 'by_older'], older.at);
    expect(result.exit).toBe(3);
    expect(result.stderr).toMatch(
      new RegExp(
        `pg_restore ${system.major}\\.\\d+ is older than the pg_dump that wrote the archive, which is of version 18`,
      ),
    );
  });

  it('the newer server is refused with only older client programs', async () => {
    const file = pipelineWith(newer.server, system.bin);
    const backups = async (): Promise<unknown[]> =>
      (await pgsiloOk(['list', file, '--json'], newer.at)).json()['backups'];
    const there = await backups();
    for (const [command, exit] of [
      ['doctor', 1],
      ['backup', 3],
    ] as const) {
      const result = await pgsilo([command, file], newer.at);
      expect(result.exit).toBe(exit);
      expect(result.all).toMatch(
        new RegExp(`pg_dump ${system.major}\\.\\d+ is older than the server, which is of version 18`),
      );
      expect(result.all).toContain('postgresql-client-18');
    }
    expect(await backups()).toEqual(there);
  });
});

/** Runs what pg_dump wrote, by this server's own psql. */
async function runScript(server: TestServer, database: string, script: string): Promise<void> {
  const { host, port, user, password, bin } = server;
  const env = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
  };
  await execa(`${bin}/psql`, ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--output=/dev/null'], {
    env,
    input: script,
  });
}
