import { spawnSync } from 'node:child_process';
import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { PgsiloError } from '@pgsilo/plugin';
import { openSession, parseConnection, type Session, renameDatabases } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import { backUp, database, request, restore, setupFor, type TestBackup } from './backups.ts';
import { databasesOf, sql, urlFor } from './servers.ts';

const live = 'acme "live" ñ';
const kept = 'acme "live" ñ_before_20261121t020000z_7f3a9c';
let server: ThrowawayPostgres;
let backup: TestBackup;

beforeAll(async () => {
  server = await startPostgres({ settings: { max_prepared_transactions: 5, wal_level: 'logical' } });
  await sql(server, 'postgres', "CREATE ROLE app LOGIN PASSWORD 'app-password'");
  await sql(server, 'postgres', `CREATE DATABASE ${pg.escapeIdentifier(live)} OWNER app`);
  await sql(
    server,
    live,
    `
    CREATE TABLE state (what text); INSERT INTO state VALUES ('as backed up'); ALTER TABLE state OWNER TO app;
    ALTER DATABASE ${pg.escapeIdentifier(live)} SET work_mem TO '5MB'; ALTER ROLE app IN DATABASE ${pg.escapeIdentifier(live)} SET lock_timeout TO '9s'`,
  );
  backup = await backUp(server.url, database(live));
});

afterAll(async () => {
  await backup?.remove();
  await server?.stop();
});

/** A live database that has moved on since the backup, and no other. */
beforeEach(async () => {
  for (const name of await databasesOf(server)) {
    if (name !== 'postgres')
      await sql(server, 'postgres', `DROP DATABASE ${pg.escapeIdentifier(name)} WITH (FORCE)`);
  }
  await sql(server, 'postgres', `CREATE DATABASE ${pg.escapeIdentifier(live)} OWNER app`);
  await sql(
    server,
    live,
    "CREATE TABLE state (what text); INSERT INTO state VALUES ('damaged'); ALTER TABLE state OWNER TO app",
  );
});

const stateOf = async (name: string): Promise<string> =>
  (await sql(server, name, 'SELECT what FROM state'))[0]?.what;

test('the live database is swapped under busy clients, who wait and then find the new one', async () => {
  const url = urlFor(server, 'app', 'app-password', live);
  let stop = false;
  const seen: { at: number; what: string }[] = [];
  const errors = new Set<string>();
  const client = async (): Promise<void> => {
    while (!stop) {
      const connection = new pg.Client({ connectionString: url });
      connection.on('error', () => undefined);
      try {
        await connection.connect();
        for (let n = 0; n < 20 && !stop; n += 1) {
          const { rows } = await connection
            .query('BEGIN; SELECT what FROM state; COMMIT')
            .then((all: any) => all[1]);
          seen.push({ at: Date.now(), what: rows[0].what });
          await sleep(2);
        }
      } catch (error) {
        errors.add((error as pg.DatabaseError).code ?? (error as Error).message);
        await sleep(5);
      } finally {
        await connection.end().catch(() => undefined);
      }
    }
  };
  const clients = Array.from({ length: 8 }, client);
  const idle = new pg.Client({ connectionString: url });
  idle.on('error', () => undefined);
  await idle.connect();
  await idle.query('BEGIN; LOCK TABLE state IN ACCESS SHARE MODE');
  await sleep(100);
  const wanted = request(backup, { replace: true });
  const prepared = await prepareRestore(setupFor(server.url), wanted, testContext());
  expect(prepared.replaces).toBe(live);
  const outcome = await prepared.run();
  await prepared.close();
  await sleep(200);
  stop = true;
  await Promise.all(clients);
  await idle.end().catch(() => undefined);

  expect(outcome).toMatchObject({ target: live, kept, warnings: [] });
  expect(await databasesOf(server)).toEqual([live, kept, 'postgres'].sort());
  expect(await stateOf(live)).toBe('as backed up');
  expect(await stateOf(kept)).toBe('damaged');
  const order = seen.map((each) => each.what);
  expect(order.lastIndexOf('damaged')).toBeLessThan(order.indexOf('as backed up'));
  const gap = Math.max(...seen.slice(1).map((each, index) => each.at - seen[index]!.at));
  expect(gap).toBeLessThan(3000);
  // Ended sessions, those that waited for a name that was gone, and nothing else.
  const expected = /^(57P01|3D000|55000|ECONNRESET|EPIPE|Connection terminated.*|.*not queryable)$/;
  for (const error of errors) expect(error).toMatch(expected);

  // What belongs to the database went with the rename.
  const mine = await sql(
    server,
    live,
    "SELECT current_setting('work_mem') AS memory, current_setting('lock_timeout') AS lock",
    url,
  );
  expect(mine).toEqual([{ memory: '5MB', lock: '9s' }]);
  expect(
    await sql(
      server,
      'postgres',
      `SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = '${live}'`,
    ),
  ).toEqual([{ owner: 'app' }]);
});

test('the old one is dropped when asked, kept under a free name otherwise', async () => {
  const first = await restore(setupFor(server.url), request(backup, { replace: true, dropOld: true }));
  expect(first.kept).toBeUndefined();
  expect(await databasesOf(server)).toEqual([live, 'postgres']);
  expect((await restore(setupFor(server.url), request(backup, { replace: true }))).kept).toBe(kept);
  expect((await restore(setupFor(server.url), request(backup, { replace: true }))).kept).toBe(`${kept}_2`);
});

test('a dropped database gets its name back without a swap', async () => {
  await sql(server, 'postgres', `DROP DATABASE ${pg.escapeIdentifier(live)}`);
  const prepared = await prepareRestore(
    setupFor(server.url),
    request(backup, { replace: true }),
    testContext(),
  );
  expect(prepared.replaces).toBeUndefined();
  const outcome = await prepared.run();
  await prepared.close();
  expect(outcome).toMatchObject({ target: live });
  expect(outcome.kept).toBeUndefined();
  expect(await stateOf(live)).toBe('as backed up');
});

test('the database of the connection itself can be replaced', async () => {
  const outcome = await restore(setupFor(server.urlOf(live)), request(backup, { replace: true }));
  expect(outcome.target).toBe(live);
  expect(await stateOf(live)).toBe('as backed up');
});

test('prepared transactions are found before anything is written, replication slots are named', async () => {
  await sql(server, live, "BEGIN; INSERT INTO state VALUES ('x'); PREPARE TRANSACTION 'half ''done'");
  try {
    await expect(prepareRestore(setupFor(server.url), request(backup, { replace: true }), testContext())).rejects.toMatchObject({
      code: 'restore.refused', message: expect.stringContaining(`"half 'done"`),
    }); // prettier-ignore
  } finally {
    await sql(server, live, "ROLLBACK PREPARED 'half ''done'");
  }
  await sql(server, live, "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')");
  try {
    const outcome = await restore(setupFor(server.url), request(backup, { replace: true }));
    expect(outcome.warnings).toEqual([expect.stringContaining('feed')]);
    expect(await stateOf(live)).toBe('as backed up');
  } finally {
    await sql(server, 'postgres', "SELECT pg_drop_replication_slot('feed')");
  }
});

test('what cannot be swapped stays as it was', async () => {
  // A prepared transaction that appears while the copy is restored.
  const wanted = request(backup, { replace: true });
  const step = <T>(name: string, work: () => Promise<T>): Promise<T> =>
    name === 'swap with the live database'
      ? sql(server, live, "BEGIN; INSERT INTO state VALUES ('x'); PREPARE TRANSACTION 'late'").then(work)
      : work();
  try {
    await expect(restore(setupFor(server.url), { ...wanted, step })).rejects.toMatchObject({
      code: 'restore.refused',
    });
  } finally {
    await sql(server, live, "ROLLBACK PREPARED 'late'");
  }
  expect(await databasesOf(server)).toEqual([live, 'postgres']);
  expect(await stateOf(live)).toBe('damaged');
});

test('a name that another restore took for the replaced database is said to be taken, and restoring again finds a free one', async () => {
  const wanted = request(backup, { replace: true });
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    if (name === 'swap with the live database')
      await sql(server, 'postgres', `CREATE DATABASE ${pg.escapeIdentifier(kept)}`);
    return await work();
  };
  await expect(restore(setupFor(server.url), { ...wanted, step })).rejects.toMatchObject({
    code: 'restore.target-exists',
    message: expect.stringContaining('most likely by another restore of this backup'),
    hint: expect.stringContaining('Restoring again'),
  });
  expect(await databasesOf(server)).toEqual([live, kept, 'postgres']);
  expect(await stateOf(live)).toBe('damaged');
  expect((await restore(setupFor(server.url), wanted)).kept).toBe(`${kept}_2`);
});

const child = join(dirname(fileURLToPath(import.meta.url)), 'restore-child.ts');

test.each([
  ['create the database', 25],
  ['restore the data', 30],
  ['apply settings and grants', 5],
  ['swap with the live database', -1],
  ['swap with the live database', 4],
  ['swap with the live database', 10],
  ['drop the replaced database', 3],
] as const)(
  'killed at "%s" (%i ms into it), the live database is as before or fully swapped, and the next run cleans up',
  async (killAt, after) => {
    const about = {
      url: server.url,
      folder: backup.folder,
      unit: live,
      killAt,
      after,
      replace: true,
      dropOld: true,
    };
    const { signal, stderr } = spawnSync(process.execPath, [child, JSON.stringify(about)], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(signal === 'SIGKILL' || after >= 0).toBe(true);
    await expect
      .poll(
        async () =>
          (
            await sql(
              server,
              'postgres',
              "SELECT FROM pg_stat_activity WHERE application_name LIKE 'pgsilo%'",
            )
          ).length,
        { timeout: 10_000 },
      )
      .toBe(0);

    const names = await databasesOf(server);
    const unfinished = names.some((name) => /^pgsilo_restoring_[0-9a-f]{16}$/.test(name));
    const state = { live: await stateOf(live), kept: names.includes(kept) && (await stateOf(kept)) };
    expect([
      { live: 'damaged', kept: false, unfinished: true },
      { live: 'damaged', kept: false, unfinished: false },
      { live: 'as backed up', kept: 'damaged', unfinished: false },
      { live: 'as backed up', kept: false, unfinished: false },
    ]).toContainEqual({ ...state, unfinished });
    // Nothing keeps an application out.
    await sql(server, live, 'SELECT 1', urlFor(server, 'app', 'app-password', live));

    await restore(setupFor(server.url), request(backup, { replace: true }));
    expect(await stateOf(live)).toBe('as backed up');
    expect((await databasesOf(server)).filter((name) => name.startsWith('pgsilo_'))).toEqual([]);
  },
);

test('a connection that breaks between the renames and COMMIT leaves everything as it was', async () => {
  const session = await openSession(parseConnection(server.url), {
    applicationName: 'breaking',
    purpose: 'test',
  });
  await sql(server, 'postgres', 'CREATE DATABASE working');
  const breaking = Object.create(session, {
    query: {
      value: (text: string, values?: readonly unknown[]) => {
        if (text === 'COMMIT')
          (session.client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
        return session.query(text, values);
      },
    },
  }) as Session;
  const swap = [
    { from: live, to: kept },
    { from: 'working', to: live },
  ];
  await expect(renameDatabases(breaking, swap, testContext())).rejects.toMatchObject({
    code: 'restore.failed',
  });
  await session.close();
  expect(await stateOf(live)).toBe('damaged');
  expect(await databasesOf(server)).toEqual([live, 'postgres', 'working']);
});

test('when the answer to COMMIT was lost, the error says that all was done', async () => {
  const wanted = request(backup, { replace: true });
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const result = await work();
    if (name === 'swap with the live database')
      throw new PgsiloError('source.unreachable', 'the connection broke');
    return result;
  };
  await expect(restore(setupFor(server.url), { ...wanted, step })).rejects.toMatchObject({
    code: 'restore.failed', message: expect.stringContaining('All of it had been done by then'),
  }); // prettier-ignore
  expect(await stateOf(live)).toBe('as backed up');
});

test('a copy that holds a subscription is removed all the same when the restore fails', async () => {
  await sql(
    server,
    live,
    "CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = 'a_slot')",
  );
  const subscribed = await backUp(server.url, database(live));
  const before = await databasesOf(server);
  try {
    const prepared = await prepareRestore(
      setupFor(server.url),
      request(subscribed, { to: 'copy' }),
      testContext(),
    );
    await prepared.close();
    const wanted = request(subscribed, { to: 'copy' });
    const step = <T>(name: string, work: () => Promise<T>): Promise<T> =>
      name === 'analyze' ? Promise.reject(new PgsiloError('internal', 'on purpose')) : work();
    await expect(restore(setupFor(server.url), { ...wanted, step })).rejects.toMatchObject({
      message: expect.stringContaining('Nothing of it was left behind'),
    });
    expect(await databasesOf(server)).toEqual(before);
    expect((await restore(setupFor(server.url), wanted)).warnings).toEqual([
      expect.stringContaining('disabled'),
    ]);
  } finally {
    await subscribed.remove();
    for (const name of [live, 'copy'])
      await sql(server, name, 'ALTER SUBSCRIPTION feed SET (slot_name = NONE); DROP SUBSCRIPTION feed').catch(
        () => undefined,
      );
  }
});

test('a leftover is only swept when no restore holds its lock', async () => {
  const holder = new pg.Client({ connectionString: server.url });
  await holder.connect();
  await holder.query("SELECT pg_advisory_lock(x'8badf00ddeadbeef'::bigint)");
  await sql(server, 'postgres', 'CREATE DATABASE pgsilo_restoring_8badf00ddeadbeef');
  await sql(server, 'postgres', 'CREATE DATABASE pgsilo_restoring_0000000000000001');
  await sql(server, 'postgres', 'CREATE DATABASE pgsilo_restoring_0000000000000001x');
  await restore(setupFor(server.url), request(backup, { replace: true, dropOld: true }));
  const names = (await databasesOf(server)).filter((name) => name.startsWith('pgsilo_'));
  expect(names).toEqual(['pgsilo_restoring_0000000000000001x', 'pgsilo_restoring_8badf00ddeadbeef']);
  await holder.end();
});
