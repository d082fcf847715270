import { execFileSync, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PgsiloError } from '@pgsilo/plugin';
import { quoteIdentifier } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import type { SourceSetup } from '../src/setup.ts';
import { at, backUp, request, restore, type TestBackup } from './backups.ts';
import { setupOf, sql } from './fixture.ts';

const live = 'acme "live" ñ';
const kept = 'acme "live" ñ_before_20261121t020000z_7f3a9c';
const s = quoteIdentifier(live);
let server: SharedPostgres;
let database: FreshDatabase;
let setup: SourceSetup;
let backup: TestBackup;

beforeAll(async () => {
  server = await sharedPostgres();
  database = await server.freshDatabase('replace');
  await database.query(
    `CREATE SCHEMA other; CREATE TABLE other.rate (id int PRIMARY KEY); INSERT INTO other.rate VALUES (1)`,
  );
  await makeLive();
  setup = setupOf(database.url, { match: '*', fingerprint: 'content', lockTimeout: '2s' });
  backup = await backUp(setup, live);
});
afterAll(async () => {
  await backup?.remove();
  await database?.drop();
});

async function makeLive(): Promise<void> {
  await database.query(
    `CREATE SCHEMA ${s}; CREATE TABLE ${s}.state (what text); INSERT INTO ${s}.state VALUES ('as backed up');
     CREATE TABLE ${s}.debit (id int PRIMARY KEY, rate int REFERENCES other.rate); CREATE TABLE ${s}.credit (id serial PRIMARY KEY, debit int REFERENCES ${s}.debit);
     INSERT INTO ${s}.debit SELECT n, 1 FROM generate_series(1, 2000) n; INSERT INTO ${s}.credit (debit) SELECT n FROM generate_series(1, 2000) n;
     CREATE VIEW ${s}.sums AS SELECT count(*) AS n FROM ${s}.credit`,
  );
}

/** A live schema that has moved on since the backup, and no other. */
beforeEach(async () => {
  for (const name of await schemas())
    if (name !== 'other' && name !== 'public')
      await database.query(`DROP SCHEMA ${quoteIdentifier(name)} CASCADE`);
  await makeLive();
  await database.query(
    `UPDATE ${s}.state SET what = 'damaged'; DELETE FROM ${s}.credit WHERE id % 2 = 0; CREATE TABLE ${s}.later (n int)`,
  );
});

async function schemas(): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `SELECT nspname::text AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY nspname COLLATE "C"`,
  );
  return rows.map(({ name }) => name);
}
const stateOf = async (schema: string): Promise<unknown> =>
  (await database.query(`SELECT what FROM ${quoteIdentifier(schema)}.state`))[0]?.['what'];

/** Everything of the database, as pg_dump tells it. */
function text(): string {
  return execFileSync(`${server.bin}/pg_dump`, ['--restrict-key=x', '--dbname', database.url], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
}

async function mustBeUntouched(before: string): Promise<void> {
  await expect.poll(sessions, { timeout: 10_000 }).toEqual([]);
  expect(await schemas()).toEqual([live, 'other', 'public']);
  expect(text()).toBe(before);
}

async function sessions(): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'pgsilo%' AND datname = current_database()`,
  );
  return rows.map(({ name }) => name);
}

test('the plan names event triggers that run for what is restored, and no others', async () => {
  await database.query(
    `CREATE FUNCTION other.seen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
     CREATE EVENT TRIGGER "on ""new" ON ddl_command_end EXECUTE FUNCTION other.seen(); CREATE EVENT TRIGGER off ON ddl_command_start EXECUTE FUNCTION other.seen();
     ALTER EVENT TRIGGER off DISABLE; CREATE EVENT TRIGGER gone ON sql_drop EXECUTE FUNCTION other.seen()`,
  );
  const planOf = async (): Promise<string[]> => {
    const restoration = await prepareRestore(setup, request(backup, { replace: true }), testContext());
    await restoration.close();
    return restoration.plan.filter((line) => line.includes('vent trigger'));
  };
  try {
    expect(await planOf()).toEqual([
      expect.stringMatching(/^CAREFUL: event triggers of the database run .*: "on \\"new"\. Where/),
    ]);
  } finally {
    await database.query(
      'DROP EVENT TRIGGER "on ""new"; DROP EVENT TRIGGER off; DROP EVENT TRIGGER gone; DROP FUNCTION other.seen()',
    );
  }
  expect(await planOf()).toEqual([]);
});

test('clients go on reading and writing all the time, see the old one until the swap and the new one after it, and no transaction is half in both', async () => {
  let stop = false;
  const seen: string[] = [];
  const errors: unknown[] = [];
  const client = async (number: number): Promise<void> => {
    const connection = new pg.Client({ connectionString: database.url });
    await connection.connect();
    for (let n = 1; !stop; n += 1) {
      const id = number * 1_000_000 + n;
      try {
        await connection.query('BEGIN');
        const { rows } = await connection.query({ name: 'state', text: `SELECT what FROM ${s}.state` });
        await connection.query(`INSERT INTO ${s}.debit VALUES ($1, 1)`, [id]);
        await sleep(1);
        // Refused if the debit went into another schema than this.
        await connection.query(`INSERT INTO ${s}.credit (debit) VALUES ($1)`, [id]);
        const again = await connection.query({ name: 'state', text: `SELECT what FROM ${s}.state` });
        await connection.query('COMMIT');
        if (again.rows[0].what !== rows[0].what) errors.push('a transaction saw both');
        seen.push(rows[0].what);
      } catch (error) {
        errors.push(error);
        await connection.query('ROLLBACK');
      }
    }
    await connection.end();
  };
  const clients = Array.from({ length: 6 }, (_, number) => client(number + 1));
  await sleep(100);
  const outcome = await restore(setup, request(backup, { replace: true }));
  await sleep(200);
  stop = true;
  await Promise.all(clients);
  expect(errors).toEqual([]);
  expect(outcome).toMatchObject({ target: live, kept });
  expect(seen).toContain('damaged');
  expect(seen.at(-1)).toBe('as backed up');
  for (const schema of [live, kept]) {
    const name = quoteIdentifier(schema);
    expect(
      await database.query(
        `SELECT id FROM ${name}.debit WHERE id > 1000000 EXCEPT SELECT debit FROM ${name}.credit`,
      ),
    ).toEqual([]);
  }
});

test('the replaced one is named to be confirmed, kept under a free name, dropped when asked', async () => {
  const prepared = await prepareRestore(setup, request(backup, { replace: true }), testContext());
  expect(prepared.replaces).toBe(live);
  await prepared.close();
  expect(await schemas()).toEqual([live, 'other', 'public']);
  const first = await restore(setup, request(backup, { replace: true }));
  expect(first.kept).toBe(kept);
  expect(first.next).toEqual([expect.stringContaining(`DROP SCHEMA ${quoteIdentifier(kept)} CASCADE;`)]);
  expect(first.warnings).toEqual([expect.stringMatching(/foreign keys of the kept schema/)]);
  expect([await stateOf(live), await stateOf(kept)]).toEqual(['as backed up', 'damaged']);
  expect((await restore(setup, request(backup, { replace: true }))).kept).toBe(`${kept}_2`);
  const third = await restore(setup, request(backup, { replace: true, dropOld: true }));
  expect(third.kept).toBeUndefined();
  expect(await schemas()).toEqual([live, kept, `${kept}_2`, 'other', 'public']);
});

test('goes on in a database whose transactions are read-only by default, as after an accident', async () => {
  const of = `ALTER DATABASE ${quoteIdentifier(database.name)}`;
  await sql(server.url, `${of} SET default_transaction_read_only = on`);
  try {
    await restore(setup, request(backup, { replace: true, dropOld: true }));
  } finally {
    await sql(server.url, `${of} RESET default_transaction_read_only`);
  }
  expect(await stateOf(live)).toBe('as backed up');
  expect(await schemas()).toEqual([live, 'other', 'public']);
});

test('a dropped schema comes back without anything to confirm', async () => {
  await database.query(`DROP SCHEMA ${s} CASCADE`);
  const wanted = request(backup, { replace: true });
  const prepared = await prepareRestore(setup, wanted, testContext());
  expect(prepared.replaces).toBeUndefined();
  expect(await prepared.run()).toMatchObject({ target: live });
  await prepared.close();
  expect(await stateOf(live)).toBe('as backed up');
});

const everyStep = [
  'restore the data',
  'compare with the fingerprint',
  'build indexes and constraints',
  'analyze',
  'swap with the live schema',
];

describe('what ends a restore before its time leaves the live schema as it was', () => {
  test.each(everyStep)('the server ends its session at "%s"', async (step) => {
    const before = text();
    const end = (): Promise<unknown> =>
      database.query(
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'pgsilo restore%' AND datname = current_database()`,
      );
    await expect(restore(setup, at(request(backup, { replace: true }), step, end))).rejects.toMatchObject({
      code: 'restore.failed',
      message: expect.stringContaining('Nothing was changed.'),
    });
    await mustBeUntouched(before);
  });

  test.each(everyStep)('it is interrupted at "%s"', async (step) => {
    const before = text();
    const context = testContext();
    const stop = new AbortController();
    const interrupt = (): void => stop.abort(new PgsiloError('aborted', 'interrupted'));
    const wanted = at(
      request(backup, { replace: true }),
      step,
      // The swap is over in a few milliseconds.
      async () => void setTimeout(interrupt, step === 'swap with the live schema' ? 0 : 2),
    );
    await expect(restore(setup, wanted, { ...context, signal: stop.signal })).rejects.toMatchObject({
      code: 'aborted',
      message: expect.stringContaining('Nothing was changed.'),
    });
    await mustBeUntouched(before);
  });

  const child = join(import.meta.dirname, 'restore-child.ts');
  test.each([
    ...everyStep.map((step) => [step, -1] as const),
    ...[4, 15, 40].map((after) => ['restore the data', after] as const),
    ['build indexes and constraints', 5] as const,
    ...[1, 3, 6, 12].map((after) => ['swap with the live schema', after] as const),
    ...[1, 4].map((after) => ['drop the replaced schema', after] as const),
  ])('killed at "%s" (%i ms into it) it is as before or fully swapped', async (killAt, after) => {
    const before = text();
    const about = {
      url: database.url,
      folder: backup.folder,
      schema: live,
      killAt,
      after,
      more: { replace: true, dropOld: true },
    };
    const { signal, stderr } = spawnSync(process.execPath, [child, JSON.stringify(about)], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(signal === 'SIGKILL' || after >= 0).toBe(true);
    await expect.poll(sessions, { timeout: 10_000 }).toEqual([]);
    const swapped = (await stateOf(live)) !== 'damaged';
    const names = await schemas();
    const others = [live, 'other', 'public'];
    const found = {
      swapped,
      names,
      untouched: text() === before,
      kept: names.includes(kept) ? await stateOf(kept) : undefined,
      rows: (await database.query(`SELECT n::int4 AS n FROM ${s}.sums`))[0]!['n'],
    };
    expect([
      { swapped: false, names: others, untouched: true, kept: undefined, rows: 1000 },
      { swapped: true, names: others, untouched: false, kept: undefined, rows: 2000 },
      {
        swapped: true,
        names: [live, kept, 'other', 'public'],
        untouched: false,
        kept: 'damaged',
        rows: 2000,
      },
    ]).toContainEqual(found);
  });

  test('its archive is cut, or its rows are others', async () => {
    const before = text();
    const archive = await readFile(backup.path('schema.dump'));
    const flipped = Buffer.from(archive);
    const row = archive.indexOf('as backed up');
    flipped[row] = 'A'.charCodeAt(0);
    for (const [bytes, message] of [
      [archive.subarray(0, archive.length - 2000), /archive is not valid[\s\S]*Nothing was changed/],
      [flipped, /contents differ[\s\S]*Nothing was changed/],
    ] as const) {
      const damaged = await backup.with('schema.dump', bytes);
      await expect(restore(setup, request(damaged, { replace: true }))).rejects.toThrow(message);
      await mustBeUntouched(before);
      await damaged.remove();
    }
  });

  test('a transaction does not end in time; the error says whose, and others were let in meanwhile', async () => {
    const before = text();
    const slow = new pg.Client({ connectionString: database.url, application_name: 'nightly report' });
    await slow.connect();
    await slow.query(`BEGIN; SELECT * FROM ${s}.debit`);
    let waited = 0;
    let stop = false;
    const client = (async () => {
      while (!stop) {
        const began = Date.now();
        await database.query(`SELECT * FROM ${s}.debit`);
        waited = Math.max(waited, Date.now() - began);
      }
    })();
    const [row] = (await slow.query('SELECT pg_backend_pid() AS pid')).rows;
    await expect(restore(setup, request(backup, { replace: true }))).rejects.toMatchObject({
      code: 'restore.failed',
      message: expect.stringMatching(
        new RegExp(
          `could not be had for 2 s; in the way: process ${row.pid} \\(.*nightly report.*Nothing was changed`,
        ),
      ),
    });
    stop = true;
    await client;
    expect(waited).toBeLessThan(1800);
    // Nobody was told of a deadlock, nor ended.
    await slow.query(`SELECT * FROM ${s}.credit; COMMIT`);
    await slow.end();
    await mustBeUntouched(before);
  });
});

test('when the answer to COMMIT was lost, the error says that all was done', async () => {
  const wanted = request(backup, { replace: true });
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const result = await work();
    if (name === 'swap with the live schema')
      throw new PgsiloError('source.unreachable', 'the connection broke');
    return result;
  };
  await expect(restore(setup, { ...wanted, step })).rejects.toMatchObject({
    message: expect.stringContaining('All of it had been done by then'),
  });
  expect([await stateOf(live), await stateOf(kept)]).toEqual(['as backed up', 'damaged']);
});

test('two restores of one schema do not wait for each other: the second says that one is running', async () => {
  const second = (): Promise<unknown> =>
    expect(restore(setup, request(backup, { replace: true }))).rejects.toMatchObject({
      message: expect.stringContaining('is running'),
    });
  await restore(setup, at(request(backup, { replace: true }), 'analyze', second));
  expect(await schemas()).toEqual([live, kept, 'other', 'public']);
});
