import { afterAll, beforeAll, expect, test } from 'vitest';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { childConnection, compareFingerprint, describeFingerprint, findTool, type Fingerprint, fingerprintSchema, observeArchive, openSession, parseConnection, prepareFingerprints, produce, type Session } from '../src/index.ts'; // prettier-ignore

const context = { signal: new AbortController().signal };
let server: SharedPostgres;
let database: FreshDatabase;
let session: Session;

beforeAll(async () => {
  server = await sharedPostgres();
  database = await server.freshDatabase('fingerprint', 'TEMPLATE template0');
  await database.query(`
    CREATE TABLE plain (id serial PRIMARY KEY, b text, a float8, m money, g int GENERATED ALWAYS AS (1 + 1) STORED, at timestamptz, raw bytea, r regclass);
    INSERT INTO plain (b, a, m, at, raw, r) SELECT 'x' || n, n / 3.0, n, timestamptz 'epoch' + n * interval '1 day', 'ab', 'plain' FROM generate_series(1, 100) n;
    CREATE TABLE "od""d
name" (a int, b int); INSERT INTO "od""d
name" VALUES (1, 2), (1, 2);
    CREATE TABLE empty (); INSERT INTO empty DEFAULT VALUES;
    CREATE TABLE nothing (a int);
    CREATE TABLE parent (k int, v text) PARTITION BY LIST (k);
    CREATE TABLE parent_1 PARTITION OF parent FOR VALUES IN (1);
    CREATE TABLE parent_2 PARTITION OF parent DEFAULT;
    INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c');
    CREATE TABLE base (a int); CREATE TABLE child () INHERITS (base);
    INSERT INTO base VALUES (1); INSERT INTO child VALUES (2), (3);
    CREATE SEQUENCE "s'\\q" START 7; SELECT nextval('"s''\\q"');
    SELECT lo_from_bytea(0, 'one'), lo_from_bytea(0, 'two');
  `);
  session = await openSession(parseConnection(database.url), {
    applicationName: 'fingerprint test',
    purpose: 'test',
  });
});

afterAll(async () => {
  await session?.close();
  await database?.drop();
});

async function* dump(url: string): AsyncGenerator<Uint8Array> {
  const tool = await findTool('pg_dump', server.major, {});
  const settings = parseConnection(url);
  const { argument, env } = childConnection(settings, settings.database, 'fingerprint test');
  yield* produce(tool, ['-Fc', '-Z0', argument], { doing: 'pg_dump', env });
}

/** Of what a dump of the database holds, in the current transaction of `at`. */
async function takeFrom(at: Session, url: string, kind: 'counts' | 'content'): Promise<Fingerprint> {
  const archive = observeArchive(dump(url));
  const taking = (await prepareFingerprints(at, kind, context))(archive);
  for await (const _ of archive.body);
  const fingerprint = await taking;
  if (fingerprint instanceof Error) throw fingerprint;
  return fingerprint;
}

async function take(kind: 'counts' | 'content'): Promise<Fingerprint> {
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    return await takeFrom(session, database.url, kind);
  } finally {
    await session.query('ROLLBACK');
  }
}

test('counts each table of the archive alone, sequences from the archive, large objects', async () => {
  const fingerprint = await take('counts');
  const rows = Object.fromEntries(fingerprint.tables.map((table) => [table.name, table.rows]));
  expect(rows).toEqual({
    plain: 100,
    'od"d\nname': 2,
    empty: 1,
    nothing: 0,
    parent_1: 1,
    parent_2: 2,
    base: 1,
    child: 2,
  });
  expect(fingerprint.tables.every((table) => table.hash === undefined)).toBe(true);
  expect([...fingerprint.sequences].sort((a, b) => a.name.localeCompare(b.name))).toEqual([
    { schema: 'public', name: 'plain_id_seq', lastValue: '100', isCalled: true },
    { schema: 'public', name: "s'\\q", lastValue: '7', isCalled: true },
  ]);
  expect(fingerprint.largeObjects).toBe(2);
  expect(fingerprintSchema.parse(JSON.parse(JSON.stringify(fingerprint)))).toEqual(fingerprint);
  expect(describeFingerprint(fingerprint)).toBe('8 tables, 109 rows, 2 sequences, 2 large objects');
  expect(await compareFingerprint(session, fingerprint, context)).toEqual({
    compared: describeFingerprint(fingerprint),
    differences: [],
  });
});

test('a content hash does not depend on the order of rows or columns, nor on settings of the session', async () => {
  const before = await take('content');
  const hashOf = (fingerprint: Fingerprint, name: string): string | undefined =>
    fingerprint.tables.find((table) => table.name === name)?.hash;
  expect(hashOf(before, 'od"d\nname')).toMatch(/^md5-sum:/);
  expect(hashOf(before, 'nothing')).toBe('md5-sum:0:0');

  await database.query('CREATE TABLE other AS SELECT m, at, r, b, a, raw, id FROM plain ORDER BY b DESC');
  await database.query(
    'BEGIN; ALTER TABLE plain RENAME TO plain_old; ALTER TABLE other RENAME TO plain; COMMIT',
  );
  try {
    await session.query(
      "SET \"TimeZone\" = 'America/Lima'; SET extra_float_digits = 0; SET bytea_output = 'escape'; SET \"DateStyle\" = 'German'",
    );
    const after = await take('content');
    // `r` names the table by OID: the renamed original prints another name, and the hash must see that.
    expect(hashOf(after, 'plain')).not.toBe(hashOf(before, 'plain'));
    await database.query("UPDATE plain SET r = 'plain'");
    expect(hashOf(await take('content'), 'plain')).toBe(hashOf(before, 'plain'));
  } finally {
    await database.query('BEGIN; DROP TABLE plain; ALTER TABLE plain_old RENAME TO plain; COMMIT');
  }
  expect(await take('content')).toEqual(before);
});

test('equal rows do not cancel each other out, and a changed one is seen', async () => {
  const before = await take('content');
  const differencesAfter = async (change: string, undo: string): Promise<readonly string[]> => {
    await database.query(change);
    try {
      return (await compareFingerprint(session, before, context)).differences;
    } finally {
      await database.query(undo);
    }
  };
  expect(await differencesAfter('UPDATE "od""d\nname" SET b = 3', 'UPDATE "od""d\nname" SET b = 2')).toEqual([
    'table public."od\\"d\\nname": 2 rows as in the backup, but their contents differ',
  ]);
  expect(
    await differencesAfter("UPDATE parent SET v = 'z' WHERE k = 2", "UPDATE parent SET v = 'b' WHERE k = 2"),
  ).toHaveLength(1);
  expect(await differencesAfter('INSERT INTO base VALUES (9)', 'DELETE FROM ONLY base WHERE a = 9')).toEqual([
    'table public.base: 2 rows, the backup has 1',
  ]);
  expect(await differencesAfter('DELETE FROM empty', 'INSERT INTO empty DEFAULT VALUES')).toEqual([
    'table public.empty: 0 rows, the backup has 1',
  ]);
  expect(
    await differencesAfter('ALTER TABLE nothing RENAME TO gone', 'ALTER TABLE gone RENAME TO nothing'),
  ).toEqual(['table public.nothing: not there, the backup has 0 rows']);
  expect(
    await differencesAfter(
      "SELECT setval('plain_id_seq', 100, false)",
      "SELECT setval('plain_id_seq', 100, true)",
    ),
  ).toEqual(['sequence public.plain_id_seq: 100 (not yet used), the backup has 100']);
  expect(await differencesAfter('SELECT lo_create(777)', 'SELECT lo_unlink(777)')).toEqual([
    '3 large objects, the backup has 2',
  ]);
  expect((await compareFingerprint(session, before, context)).differences).toEqual([]);
});

test('row security is an error, never fewer rows', async () => {
  const role = `limited_${crypto.randomUUID().slice(0, 8)}`;
  await database.query(`
    CREATE ROLE ${role} LOGIN PASSWORD 'secret-of-limited'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role};
    ALTER TABLE plain ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON plain USING (id < 10)`);
  const settings = parseConnection(database.url.replace(/\/\/[^@]*@/, `//${role}:secret-of-limited@`));
  const limited = await openSession(settings, { applicationName: 'limited', purpose: 'test' });
  try {
    await limited.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await expect(takeFrom(limited, database.url, 'content')).rejects.toMatchObject({
      code: 'source.denied',
    });
  } finally {
    await limited.close();
    await database.query(
      `ALTER TABLE plain DISABLE ROW LEVEL SECURITY; DROP POLICY few ON plain; DROP OWNED BY ${role}; DROP ROLE ${role}`,
    );
  }
});

test('a table of an extension counts only what the archive holds of it', async () => {
  const own = await server.freshDatabase('extconfig', 'TEMPLATE template0');
  try {
    await own.query(
      'CREATE TABLE kept (a int); CREATE EXTENSION hstore; CREATE TABLE config (a int); INSERT INTO config VALUES (1), (2), (30)',
    );
    // As CREATE EXTENSION and pg_extension_config_dump() leave it.
    await own.query(`INSERT INTO pg_depend SELECT 'pg_class'::regclass, 'config'::regclass, 0, 'pg_extension'::regclass, oid, 0, 'e' FROM pg_extension WHERE extname = 'hstore';
      UPDATE pg_extension SET extconfig = ARRAY['config'::regclass::oid], extcondition = ARRAY['WHERE a > 10'] WHERE extname = 'hstore'`);
    const there = await openSession(parseConnection(own.url), {
      applicationName: 'extconfig',
      purpose: 'test',
    });
    try {
      await there.query('BEGIN');
      const taken = await Promise.all([
        takeFrom(there, own.url, 'content'),
        takeFrom(there, own.url, 'counts'),
      ]);
      await there.query('ROLLBACK');
      for (const fingerprint of taken) {
        expect(fingerprint.tables.find((table) => table.name === 'config')).toMatchObject({
          rows: 1,
          condition: 'WHERE a > 10',
        });
        expect((await compareFingerprint(there, fingerprint, context)).differences).toEqual([]);
      }
    } finally {
      await there.close();
    }
  } finally {
    await own.drop();
  }
});

test('thousands of tables are counted in few statements', async () => {
  const many = await server.freshDatabase('many', 'TEMPLATE template0');
  try {
    await many.query(
      "DO $$ BEGIN FOR n IN 1..1234 LOOP EXECUTE format('CREATE UNLOGGED TABLE t%s (a int)', n); END LOOP; INSERT INTO t777 VALUES (1); END $$",
    );
    const there = await openSession(parseConnection(many.url), { applicationName: 'many', purpose: 'test' });
    let statements = 0;
    const counting: Session = Object.create(there, {
      query: {
        value: (sql: string, values?: readonly unknown[]) => ((statements += 1), there.query(sql, values)),
      },
    }) as Session;
    try {
      await there.query('BEGIN');
      const fingerprint = await takeFrom(there, many.url, 'counts');
      expect(fingerprint.tables).toHaveLength(1234);
      expect(fingerprint.tables.filter((table) => table.rows !== 0)).toEqual([
        { schema: 'public', name: 't777', rows: 1 },
      ]);
      await there.query('ROLLBACK');
      const { differences } = await compareFingerprint(counting, fingerprint, context);
      expect(differences).toEqual([]);
      expect(statements).toBeLessThan(40);
    } finally {
      await there.close();
    }
  } finally {
    await many.drop();
  }
});
