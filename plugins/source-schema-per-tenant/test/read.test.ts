import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprintSchema, quoteIdentifier, quoteLiteral, readArchive, showName } from '@pgsilo/postgres';
import { bodyOf, testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import {
  backUpAll,
  hostileNames,
  plan,
  read,
  scriptOf,
  setupOf,
  sql,
  unitNames,
  type ReadResult,
} from './fixture.ts';
import { checkSource } from '../src/check.ts';

let server: SharedPostgres;
const databases: FreshDatabase[] = [];
async function fresh(...statements: string[]): Promise<FreshDatabase> {
  const database = await server.freshDatabase('schemas');
  databases.push(database);
  await sql(database.url, ...statements);
  return database;
}
beforeAll(async () => {
  server = await sharedPostgres();
});
afterAll(async () => {
  for (const database of databases) await database.drop();
});

async function tocOf(result: ReadResult, unit: string, name = 'schema.dump'): Promise<string[]> {
  const archive = result.artifacts.get(unit)!.get(name)!;
  const { toc } = await readArchive(bodyOf(archive));
  return toc.entries.map(({ desc, namespace, tag }) => `${desc} ${namespace ?? '-'} ${tag}`);
}

describe('one pass over a database', () => {
  it('gives each schema an archive of its own, whatever its name', async () => {
    const database = await fresh(
      ...hostileNames.flatMap((name, index) => [
        `CREATE SCHEMA ${quoteIdentifier(name)}`,
        `CREATE TABLE ${quoteIdentifier(name)}.${quoteIdentifier(name)} AS SELECT ${index} AS number, 'row of ${index}' AS text`,
        `COMMENT ON SCHEMA ${quoteIdentifier(name)} IS 'comment ${index}'`,
      ]),
    );
    const setup = setupOf(database.url, { schemas: hostileNames, fingerprint: 'content' });
    const result = await backUpAll(setup);
    for (const [index, name] of hostileNames.entries()) {
      const toc = await tocOf(result, name);
      expect(toc).toEqual([
        'ENCODING - ENCODING', 'STDSTRINGS - STDSTRINGS', 'SEARCHPATH - SEARCHPATH', `SCHEMA - ${name}`,
        expect.stringMatching(/^COMMENT - SCHEMA /), `TABLE ${name} ${name}`, `TABLE DATA ${name} ${name}`,
      ]); // prettier-ignore
      const script = await scriptOf(server.bin, result.artifacts.get(name)!.get('schema.dump')!);
      const [quoted] = await sql<{ name: string }>(
        database.url,
        `SELECT format('%I', ${quoteLiteral(name)}) AS name`,
      );
      expect(script).toContain(`CREATE SCHEMA ${quoted!.name};`);
      expect(script).toContain(`\n${index}\trow of ${index}\n`);
      expect(script.match(/row of/g)).toHaveLength(1);
      const fingerprint = fingerprintSchema.parse(
        JSON.parse(String(result.artifacts.get(name)!.get('fingerprint.json'))),
      );
      expect(fingerprint.tables).toEqual([
        { schema: name, name, rows: 1, hash: expect.stringMatching(/^md5-sum:/) },
      ]);
      expect(result.facts.get(name)).toMatchObject({ status: 'good', about: { tables: 1, rows: 1 } });
    }
  });

  it('gives what belongs to no tenant to @database, rows of other schemas in archives of their own', async () => {
    const database = await fresh(
      'CREATE SCHEMA acme',
      'CREATE TABLE acme.orders (id int PRIMARY KEY)',
      'INSERT INTO acme.orders VALUES (1), (2)',
      'CREATE SCHEMA aaa',
      'CREATE TABLE aaa.first AS SELECT 7 AS n',
      'CREATE SCHEMA zzz',
      'CREATE TABLE zzz.last AS SELECT 8 AS n',
      'CREATE SEQUENCE zzz.numbers',
      'CREATE PUBLICATION everything FOR TABLE acme.orders',
      `COMMENT ON PUBLICATION everything IS 'of the database'`,
      'CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$',
      'CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION public.watch()',
      `CREATE COLLATION public.plain (provider = libc, locale = 'C')`,
      'CREATE TYPE acme.pair AS (a int, b int)',
      'CREATE FUNCTION acme.pair_text(acme.pair) RETURNS text LANGUAGE sql AS $$ SELECT $1.a::text $$',
      'CREATE CAST (acme.pair AS text) WITH FUNCTION acme.pair_text(acme.pair)',
      'ALTER DEFAULT PRIVILEGES IN SCHEMA acme GRANT SELECT ON TABLES TO PUBLIC',
      'ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC',
    );
    const result = await backUpAll(setupOf(database.url, { match: 'acme' }));
    const acme = (await tocOf(result, 'acme')).join('\n');
    expect(acme).toMatch(/SCHEMA - acme/);
    expect(acme).toMatch(/CAST - /);
    expect(acme).toMatch(/DEFAULT ACL acme /);
    expect(acme).not.toMatch(/PUBLICATION|EVENT|COLLATION|DEFAULT ACL -|aaa|zzz/);
    const files = result.artifacts.get('@database')!;
    expect([...files.keys()].sort()).toEqual([
      'database.dump',
      'fingerprint.json',
      expect.stringMatching(/^rows-\d+\.dump$/),
      expect.stringMatching(/^rows-\d+\.dump$/),
      'settings.json',
    ]);
    const all = (await tocOf(result, '@database', 'database.dump')).join('\n');
    for (const what of [
      'PUBLICATION - everything', 'PUBLICATION TABLE acme everything orders', 'COMMENT - PUBLICATION everything', 'EVENT TRIGGER - watching',
      'COLLATION public plain', 'TABLE aaa first', 'TABLE zzz last', 'SEQUENCE SET zzz numbers', 'DEFAULT ACL - DEFAULT PRIVILEGES FOR FUNCTIONS',
    ]) expect(all).toContain(what); // prettier-ignore
    expect(all).not.toMatch(/TABLE DATA|TABLE acme orders|SCHEMA - acme/);
    const fingerprint = fingerprintSchema.parse(JSON.parse(String(files.get('fingerprint.json'))));
    expect(fingerprint.tables.map(({ schema, name }) => `${schema}.${name}`)).toEqual([
      'aaa.first',
      'zzz.last',
    ]);
    expect(fingerprint.sequences).toMatchObject([{ schema: 'zzz', name: 'numbers' }]);
  });

  it('a schema that is called as what is not a tenant is a tenant all the same', async () => {
    const names = ['@database', 'rows of 1', 'schema a', '_a'];
    const database = await fresh(
      ...names.flatMap((name) => [
        `CREATE SCHEMA ${quoteIdentifier(name)}`,
        `CREATE TABLE ${quoteIdentifier(name)}.t AS SELECT 'row of ${name}' AS text`,
      ]),
      `CREATE PUBLICATION "of the database"`,
    );
    const query = `SELECT nspname AS schema, 'unit ' || nspname AS unit FROM pg_namespace WHERE nspname = ANY ('{${names.map((name) => `"${name}"`).join()}}')`;
    const result = await backUpAll(setupOf(database.url, { registry: { query } }));
    for (const name of names) {
      const archive = result.artifacts.get(`unit ${name}`)!.get('schema.dump')!;
      expect((await scriptOf(server.bin, archive)).match(/row of .*/g)).toEqual([`row of ${name}`]);
      expect(String(archive)).not.toContain('of the database');
    }
    const own = result.artifacts.get('@database')!.get('database.dump')!;
    expect(String(own)).toContain('of the database');
    expect(String(own)).not.toContain('row of');
  });

  it('takes all units from one moment, while the tenants go on working', async () => {
    const database = await fresh(
      'CREATE SCHEMA a', 'CREATE TABLE a.t (n int)', 'CREATE SCHEMA b', 'CREATE TABLE b.t (n int)',
      'INSERT INTO a.t SELECT generate_series(1, 50000)', 'INSERT INTO b.t SELECT generate_series(1, 50000)',
    ); // prettier-ignore
    const setup = setupOf(database.url, { match: '*' });
    const { jobs } = await plan(setup);
    // Each transaction moves a row, so that the sum is the same at each moment.
    let stop = false;
    const working = (async () => {
      for (let at = 1; !stop; at += 1)
        await sql(
          database.url,
          `WITH gone AS (DELETE FROM a.t WHERE n = ${at} RETURNING n) INSERT INTO b.t SELECT n FROM gone`,
        );
    })();
    try {
      const { artifacts, facts } = await read(setup, jobs[0]!);
      let rows = 0;
      for (const unit of ['a', 'b']) {
        const { data } = await readArchive(bodyOf(artifacts.get(unit)!.get('schema.dump')!));
        const [inArchive] = [...data.values()].map((count) => count.rows);
        expect(facts.get(unit)!.about!['rows']).toBe(inArchive);
        rows += inArchive!;
      }
      expect(rows).toBe(100_000);
      expect(new Set(['a', 'b', '@database'].map((unit) => facts.get(unit)!.snapshotAt)).size).toBe(1);
    } finally {
      stop = true;
      await working;
    }
  });
});

describe('what crosses schemas', () => {
  it('is in the plan and in the manifest', async () => {
    const database = await fresh(
      'CREATE SCHEMA central', 'CREATE TABLE central.currency (code text PRIMARY KEY)', 'CREATE TYPE central.mood AS ENUM (\'good\')',
      'CREATE SCHEMA acme', 'CREATE TABLE acme.orders (id int, currency text REFERENCES central.currency, mood central.mood)',
      'CREATE VIEW acme.codes AS SELECT code FROM central.currency',
      'CREATE SCHEMA alone', 'CREATE TABLE alone.t (id int)',
      'CREATE SCHEMA acme_reports', 'CREATE VIEW acme_reports.orders AS SELECT id FROM acme.orders',
    ); // prettier-ignore
    const setup = setupOf(database.url, { match: ['acme*', 'alone'], shared: ['central'] });
    const planned = await plan(setup);
    expect(planned.warnings.join('\n')).toMatch(
      /schema acme cannot be restored without schema central: \d objects/,
    );
    expect(planned.warnings.join('\n')).toMatch(
      /schema acme_reports cannot be restored without schema acme: 1 object/,
    );
    expect(planned.warnings.join('\n')).not.toMatch(/alone/);
    const { facts } = await read(setup, planned.jobs[0]!);
    expect(facts.get('acme')!.about).toMatchObject({
      needsSchemas: [{ name: 'central', objects: 3, example: expect.any(String) }],
    });
    expect(facts.get('alone')!.about).toMatchObject({ needsSchemas: [], needsExtensions: [] });
  });
});

describe('each way to cross schemas', () => {
  const ways: Record<string, string> = {
    'a foreign key': 'CREATE TABLE x.t (code text REFERENCES central.currency)',
    'a view': 'CREATE VIEW x.v AS SELECT code FROM central.currency',
    'a materialized view': 'CREATE MATERIALIZED VIEW x.v AS SELECT code FROM central.currency',
    'a type': 'CREATE TABLE x.t (mood central.mood)',
    'a domain': 'CREATE DOMAIN x.d AS central.mood',
    'a function in a check': 'CREATE TABLE x.t (n int CHECK (central.tax(n) > 0))',
    'a function in a default': 'CREATE TABLE x.t (n int DEFAULT central.tax(1))',
    'a function in an index': 'CREATE TABLE x.t (n int); CREATE INDEX ON x.t (central.tax(n))',
    'a function in a policy': 'CREATE TABLE x.t (n int); CREATE POLICY p ON x.t USING (central.tax(n) > 0)',
    'the type of an argument': 'CREATE FUNCTION x.f(central.mood) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
    "a sequence's next value": `CREATE TABLE x.t (n int DEFAULT nextval('central.numbers'))`,
    'a trigger':
      'CREATE TABLE x.t (n int); CREATE TRIGGER t AFTER INSERT ON x.t FOR EACH ROW EXECUTE FUNCTION central.seen()',
    'a parent': 'CREATE TABLE x.t () INHERITS (central.currency)',
    'a partition': 'CREATE TABLE x.t PARTITION OF central.event DEFAULT',
    'a collation': 'CREATE TABLE x.t (text text COLLATE central.plain)',
    'an operator class': 'CREATE TABLE x.t (n int); CREATE INDEX ON x.t USING btree (n central.own_ops)',
  };

  it('is in the plan and in the manifest', async () => {
    const database = await fresh(
      'CREATE SCHEMA central', 'CREATE TABLE central.currency (code text PRIMARY KEY)', 'CREATE TYPE central.mood AS ENUM (\'good\')',
      'CREATE FUNCTION central.tax(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT $1 $$', 'CREATE SEQUENCE central.numbers',
      'CREATE FUNCTION central.seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
      'CREATE TABLE central.event (n int) PARTITION BY LIST (n)', `CREATE COLLATION central.plain (provider = libc, locale = 'C')`,
      'CREATE OPERATOR CLASS central.own_ops FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int)',
      ...Object.entries(ways).flatMap(([name, sqlOfIt]) => [
        `CREATE SCHEMA ${quoteIdentifier(name)}`, sqlOfIt.replaceAll(/\bx\./g, `${quoteIdentifier(name)}.`),
      ]),
    ); // prettier-ignore
    const setup = setupOf(database.url, { schemas: Object.keys(ways), shared: ['central'] });
    const planned = await plan(setup);
    expect(planned.warnings.join('\n')).toMatch(/16 schemas cannot be restored without schema central/);
    const { facts } = await read(setup, planned.jobs[0]!);
    for (const name of Object.keys(ways)) {
      const needed = facts.get(name)!.about!['needsSchemas'];
      expect({ name, needed }).toEqual({ name, needed: [expect.objectContaining({ name: 'central' })] });
    }
    expect(facts.get('central')!.about).toMatchObject({ needsSchemas: [] });
    // Doctor names each, with one object in PostgreSQL's own words; from four schemas on it would count them.
    const named: Record<string, string> = {
      'a foreign key': 'constraint t_code_fkey on table "a foreign key".t',
      'a view': 'rule _RETURN on view "a view".v',
      'a type': 'table "a type".t',
      'the type of an argument': 'function "the type of an argument".f(central.mood)',
      'a function in a default': 'default value for column n of table "a function in a default".t',
      "a sequence's next value": `default value for column n of table "a sequence's next value".t`,
    };
    for (const schemas of [Object.keys(named).slice(0, 3), Object.keys(named).slice(3)]) {
      const context = testContext();
      const said: string[] = [];
      const chosen = setupOf(database.url, { schemas, shared: ['central'], uncovered: 'ignore' });
      for await (const { name, status, message } of checkSource(chosen, context))
        if (name === 'units' && status === 'warning') said.push(message);
      await context.dispose();
      expect(said.sort()).toEqual(
        schemas
          .map(
            (schema) =>
              `schema ${showName(schema)} cannot be restored without schema central: 1 object, such as ${named[schema]}`,
          )
          .sort(),
      );
    }
  });
});

describe('refusals', () => {
  it('large objects are refused with the reason, or are in @database when that was said', async () => {
    const database = await fresh(
      'CREATE SCHEMA a',
      'CREATE TABLE a.t AS SELECT 1 AS n',
      `SELECT lo_from_bytea(4242, 'secret of a tenant')`,
    );
    await expect(backUpAll(setupOf(database.url, { match: 'a' }))).rejects.toMatchObject({
      code: 'source.failed',
      message: expect.stringMatching(/holds 1 large object, which belong to no schema/),
    });
    const result = await backUpAll(setupOf(database.url, { match: 'a', largeObjects: 'database' }));
    expect(String(result.artifacts.get('a')!.get('schema.dump'))).not.toContain('secret of a tenant');
    expect(String(result.artifacts.get('@database')!.get('database.dump'))).toContain('secret of a tenant');
  });

  it('a schema that was dropped after the plan fails by name', async () => {
    const database = await fresh('CREATE SCHEMA a', 'CREATE SCHEMA b');
    const setup = setupOf(database.url, { match: '*' });
    const { jobs } = await plan(setup);
    await sql(database.url, 'DROP SCHEMA b');
    await expect(read(setup, jobs[0]!)).rejects.toMatchObject({
      code: 'source.unit-missing',
      message: expect.stringMatching(/schema b of unit b was dropped/),
    });
  });

  it('excluded schemas are in no archive', async () => {
    const database = await fresh(
      'CREATE SCHEMA a', 'CREATE TABLE a.t AS SELECT 1 AS n', 'CREATE SCHEMA "a""x"', `CREATE TABLE "a""x".t AS SELECT 'left out' AS text`,
    ); // prettier-ignore
    const setup = setupOf(database.url, { match: 'a*', exclude: 'a"?' });
    expect(unitNames(await plan(setup))).toEqual(['a', '@database']);
    const result = await backUpAll(setup);
    for (const files of result.artifacts.values())
      for (const bytes of files.values()) expect(String(bytes)).not.toContain('left out');
  });
});
