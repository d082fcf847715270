import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { standIns } from './services/client-programs.ts';
import { contentOf } from './services/equality.ts';
import { createFleet, createTenant, tenants, writePipeline } from './services/fleet.ts';
import { gateFor, makeLarge } from './services/gate.ts';
import {
  pgsilo,
  pgsiloOk,
  startPgsilo,
  type CallOptions,
  type Ended,
  type Running,
} from './services/pgsilo.ts';
import { descendantsOf } from './services/process-tree.ts';
import { startServer, until, type TestServer } from './services/server.ts';
import { silentServer, type SilentServer } from './services/silent-server.ts';
import { filesIn, listed, objectsOf } from './services/stored.ts';

describe('a server that is not there, or goes away', { timeout: 120_000 }, () => {
  let server: TestServer;
  let silent: SilentServer;
  let at: CallOptions;
  let file: string;
  let run: Running | undefined;
  let patient: Running;
  const others = ['@globals', 'acme', 'slow', 'vigia_master'];
  /** Where the server is replaced by another one. */
  const without = (port: number, more = ''): CallOptions => ({
    ...at,
    env: { VIGIA_URL: `postgresql://${server.user}:${server.password}@127.0.0.1:${port}/postgres${more}` },
  });

  beforeAll(async () => {
    server = await startServer();
    silent = await silentServer(server.port);
    at = { cwd: server.folder, env: { VIGIA_URL: server.url } };
    await createFleet(server, tenants.slice(0, 2));
    await makeLarge(server, 'globex_db');
    await createTenant(server, { unit: 'slow', database: 'slow_db', plan: 'demo', rows: 10 });
    // Restoring its row takes for ever: the restore stands still in the middle of COPY.
    await server.query(
      'slow_db',
      `CREATE FUNCTION app.slowly(integer) RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN IF current_database() LIKE 'pgsilo\\_restoring\\_%' THEN PERFORM pg_sleep(600); END IF; RETURN true; END $$;
       CREATE TABLE app.stubborn (i integer CHECK (app.slowly(i)));
       INSERT INTO app.stubborn VALUES (1)`,
    );
    file = writePipeline(server);
    await pgsiloOk(['backup', file], at);
    // Takes thirty seconds, the default of connect_timeout, while the other tests run.
    patient = startPgsilo(['plan', file], without(silent.port));
  });
  afterEach(async () => {
    run?.kill('SIGKILL');
    await run?.result;
    run = undefined;
  });
  afterAll(async () => {
    patient?.kill('SIGKILL');
    await patient?.result;
    await silent?.close();
    await server?.stop();
  });

  /** One error, once, with the place of the server and what to do. */
  const expectUnreachable = ({ exit, stdout, stderr }: Ended, port: number): void => {
    expect(exit).toBe(3);
    expect(stdout).toBe('');
    expect(stderr.match(/source\.unreachable/g)).toHaveLength(1);
    expect(stderr.match(/ error /g) ?? stderr.match(/^error /gm)).toHaveLength(1);
    expect(stderr).toContain(`127.0.0.1:${port}`);
    expect(stderr).toMatch(/next .*[Cc]heck/);
    expect(stderr).not.toContain(server.password);
  };
  const serverCommands: readonly (readonly string[])[] = [
    ['backup'],
    ['plan'],
    ['restore', 'acme'],
    ['restore', 'acme', '--replace', '--yes'],
  ];
  const parameters = ([command, ...rest]: readonly string[]): string[] => [command!, file, ...rest];

  it('is one clear error with exit 3 where nothing listens, and nothing is written', async () => {
    const before = filesIn(join(server.folder, 'store'));
    for (const command of serverCommands) expectUnreachable(await pgsilo(parameters(command), without(1)), 1);
    expect(filesIn(join(server.folder, 'store'))).toEqual(before);
  });

  it('is the same where something listens and never answers, after connect_timeout', async () => {
    const before = filesIn(join(server.folder, 'store'));
    for (const command of serverCommands) {
      const result = await pgsilo(parameters(command), without(silent.port, '?connect_timeout=1'));
      expectUnreachable(result, silent.port);
      expect(result.stderr).toMatch(/did not answer|timeout/);
    }
    expect(filesIn(join(server.folder, 'store'))).toEqual(before);
  });

  it('does not keep a pg_dump waiting that finds it silent', async () => {
    const flag = join(server.folder, 'silent');
    const bin = standIns(server, { pg_dump: `touch '${flag}'; exec "$REAL" "$@"` });
    const muted = writePipeline(server, { name: 'muted', source: `  bin: ${bin}`, limits: ', attempts: 1' });
    silent.passWhile(() => !existsSync(flag));
    run = startPgsilo(
      ['backup', muted, '--only', 'acme', '--json'],
      without(silent.port, '?connect_timeout=2'),
    );
    const { exit, json } = await run.result;
    silent.passWhile(() => false);
    expect(exit).toBe(3);
    const [unit] = json<any>()['runs'][0].report.units;
    expect(unit).toMatchObject({ unit: 'acme', status: 'failed', error: { code: 'source.incomplete' } });
    expect(unit.error.message).toMatch(/pg_dump of database acme_db .*timeout/s);
    expect(objectsOf(join(server.folder, 'store', 'muted'), 'acme')).toEqual([]);
  });

  it('ends a backup when it stops in the middle: what was committed stays, nothing else', async () => {
    const gate = gateFor(server, 'globex', 'crash');
    const crash = writePipeline(server, { name: 'crash', transform: gate.transform });
    const store = join(server.folder, 'store', 'crash');
    run = startPgsilo(['backup', crash, '--json'], at);
    await gate.held();
    await until(
      'the other units are committed',
      () => others.every((unit) => objectsOf(store, unit).some((path) => path.endsWith('/manifest.json'))),
      60,
    );
    await server.kill();
    const { exit, json } = await run.result;
    expect(exit).toBe(1);
    const { report } = json<any>()['runs'][0];
    expect(report).toMatchObject({ status: 'partial', error: { code: 'run.lock-lost' } });
    expect(report.error.message).toMatch(/terminat|shut/);
    expect(objectsOf(store, 'globex')).toEqual([]);
    expect(await descendantsOf(run.pid)).toEqual([]);
    await server.start();
    expect(await listed(crash, at)).toEqual(others);
    await pgsiloOk(['verify', crash, '--level', 'decode'], at);
    gate.open();
    await pgsiloOk(['backup', crash], at);
    expect(await listed(crash, at)).toContain('globex');
  });

  it('that ends the session of the snapshot alone fails the unit, and what was stored of it is removed', async () => {
    const gate = gateFor(server, 'globex', 'snapshot');
    const limits = ', attempts: 1';
    const snapshot = writePipeline(server, { name: 'snapshot', transform: gate.transform, limits });
    run = startPgsilo(['backup', snapshot, '--only', 'globex', '--only', 'acme', '--json'], at);
    await gate.held();
    // It has counted, and holds its transaction open until the dump has ended well.
    const ended = await until('the session of the snapshot was ended', async () => {
      const rows = await server.query(
        'postgres',
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name LIKE 'pgsilo 2%' AND datname = 'globex_db' AND state = 'idle in transaction'`,
      );
      return rows.length > 0 && rows;
    });
    expect(ended).toHaveLength(1);
    gate.open();
    const { exit, json } = await run.result;
    expect(exit).toBe(1);
    const { units } = json<any>()['runs'][0].report;
    const failed = units.filter((unit: any) => unit.status === 'failed');
    expect(failed).toMatchObject([{ unit: 'globex', error: { code: 'source.unreachable' } }]);
    const store = join(server.folder, 'store', 'snapshot');
    expect(objectsOf(store, 'globex')).toEqual([]);
    expect(await listed(snapshot, at)).toEqual(['acme']);
  });

  const standStill = async (...how: readonly string[]): Promise<Running> => {
    run = startPgsilo(['restore', file, 'slow', ...how, '--json'], at);
    await until('the restore is in the middle of its data', async () => {
      const rows = await server.query(
        'postgres',
        `SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE 'pgsilo\\_restoring\\_%'`,
      );
      return rows.length > 0;
    });
    return run;
  };

  it('ends a restore when it stops in the middle: the live database is as before, the copy is named, the next restore removes it', async () => {
    const databases = await server.databases();
    const live = await contentOf(server, 'slow_db');
    const { result } = await standStill('--replace', '--yes');
    await server.kill();
    const { exit, json } = await result;
    expect(exit).toBe(1);
    const { error } = json<any>();
    expect(error.code).toBe('restore.failed');
    const copy = /as (pgsilo_restoring_[0-9a-f]{16}); the next restore removes it/.exec(error.message)?.[1];
    expect(copy).toBeDefined();
    await server.start();
    expect(await server.databases()).toEqual([...databases, copy].sort());
    expect(await contentOf(server, 'slow_db')).toEqual(live);
    const { stderr } = await pgsiloOk(['restore', file, 'acme', '--to', 'acme_copy'], at);
    expect(stderr).toContain(copy);
    expect(await server.databases()).toEqual([...databases, 'acme_copy'].sort());
  });

  it('that ends the session of pg_restore alone is a failure that leaves nothing', async () => {
    const databases = await server.databases();
    const { result } = await standStill('--replace', '--yes');
    await server.query(
      'postgres',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'`,
    );
    const { exit, json } = await result;
    expect(exit).toBe(1);
    const { error } = json<any>();
    expect(error.code).toBe('restore.failed');
    expect(error.message).toMatch(/terminating connection due to administrator command/);
    expect(error.message).toContain('Nothing of it was left behind');
    expect(await server.databases()).toEqual(databases);
    expect(await server.sessionsOfPgsilo()).toEqual([]);
  });

  it('is not waited for without end when it never answers and no connect_timeout is given', async () => {
    const result = await patient.result;
    expect(result.exit).toBe(3);
    expectUnreachable(result, silent.port);
  });
});
