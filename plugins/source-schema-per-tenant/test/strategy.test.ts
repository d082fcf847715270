import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Job } from '@pgsilo/plugin';
import { quoteIdentifier, readArchive } from '@pgsilo/postgres';
import { bodyOf, testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { SharedSnapshot } from '../src/shared-snapshot.ts';
import { chooseStrategy, few, large } from '../src/strategy.ts';
import {
  backUpAll,
  hostileNames,
  plan,
  read,
  readContext,
  scriptOf,
  setupOf,
  sql,
  unitNames,
} from './fixture.ts';

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

const perSchema = { match: '*', exclude: 'public', strategy: 'per-schema' };
const jobOf = (jobs: readonly Job[], unit: string): Job =>
  jobs.find((job) => job.units.some(({ name }) => name === unit))!;

describe('auto', () => {
  const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `t${index}`);
  const chosen = async (written: object, count: number, bytes?: number): Promise<string> => {
    const setup = setupOf('postgresql://nobody@nowhere/db', { match: '*', ...written });
    const sizes = async (): Promise<Map<string, number>> => {
      if (bytes === undefined) throw new Error('sizes are not asked for');
      return new Map(names(count).map((name) => [name, bytes]));
    };
    const { kind, why } = await chooseStrategy(setup, names(count), sizes);
    return `${kind}: ${why}`;
  };

  it('takes a pg_dump each for few large schemas, and says why', async () => {
    expect(await chosen({}, 3, 4 * large)).toMatch(/^per-schema: .*each of 3 schemas.*few.*12\.9 GB\.$/);
    expect(await chosen({}, few, large)).toMatch(/^per-schema/);
    expect(await chosen({}, few, large - 1)).toMatch(/^one-pass: .*16 schemas.*they hold 17\.2 GB\.$/);
    expect(await chosen({}, few + 1)).toMatch(/^one-pass: .*more than 16, and each pg_dump/);
    expect(await chosen({ largeObjects: { by: 'owner' } }, 3)).toMatch(
      /^one-pass: .*large objects are told apart/,
    );
    expect(await chosen({}, 1)).toMatch(/^one-pass: .*nothing to do at the same time/);
  });

  it('does what was said, where it was', async () => {
    expect(await chosen({ strategy: 'one-pass' }, 3)).toMatch(/strategy: one-pass\.$/);
    expect(await chosen({ strategy: 'per-schema' }, 1000)).toMatch(/^per-schema: .*strategy: per-schema\.$/);
  });

  it('stands in the plan', async () => {
    const database = await fresh('CREATE SCHEMA a', 'CREATE SCHEMA b');
    const { jobs, notes } = await plan(setupOf(database.url, { match: ['a', 'b'] }));
    expect(jobs).toHaveLength(1);
    expect(notes).toEqual([expect.stringMatching(/^One pass of pg_dump .*2 schemas.*they hold 0\.0 GB\.$/)]);
  });
});

describe('a pg_dump for each schema', () => {
  it('gives each an archive of its own and of one moment, whatever its name, and the rest to @database', async () => {
    const database = await fresh(
      ...hostileNames.flatMap((name, index) => [
        `CREATE SCHEMA ${quoteIdentifier(name)}`,
        `CREATE TABLE ${quoteIdentifier(name)}.${quoteIdentifier(name)} AS SELECT ${index} AS number, 'row of ${index}' AS text`,
      ]),
      'CREATE TABLE public.own AS SELECT \'row of nobody\' AS text',
      'CREATE PUBLICATION everything FOR TABLE acme.acme',
    ); // prettier-ignore
    const setup = setupOf(database.url, { schemas: hostileNames, strategy: 'per-schema' });
    const planned = await plan(setup);
    expect(planned.jobs).toHaveLength(hostileNames.length + 1);
    expect(new Set(planned.jobs.map(({ id }) => id)).size).toBe(planned.jobs.length);
    expect(planned.notes).toEqual([expect.stringMatching(/a pg_dump for each of 19 schemas/i)]);
    const { artifacts, facts } = await backUpAll(setup);
    for (const [index, name] of hostileNames.entries()) {
      const archive = artifacts.get(name)!.get('schema.dump')!;
      const { toc } = await readArchive(bodyOf(archive));
      expect(new Set(toc.entries.map(({ namespace }) => namespace))).toEqual(new Set([undefined, name]));
      expect((await scriptOf(server.bin, archive)).match(/row of .*/g)).toEqual([`row of ${index}`]);
      expect(facts.get(name)).toMatchObject({ about: { tables: 1, rows: 1 } });
    }
    const own = artifacts.get('@database')!;
    const texts = [...own.values()].map(String).join('\n');
    expect(texts).toContain('row of nobody');
    expect(texts).not.toMatch(/row of \d/);
    const { toc } = await readArchive(bodyOf(own.get('database.dump')!));
    expect(toc.entries.map(({ desc, tag }) => `${desc} ${tag}`)).toContain(
      'PUBLICATION TABLE everything acme',
    );
    expect(new Set([...facts.values()].map(({ snapshotAt }) => snapshotAt)).size).toBe(1);
  });

  it('is of the moment at which the first one began, whatever the tenants do between two', async () => {
    const database = await fresh(
      'CREATE SCHEMA a', 'CREATE TABLE a.t AS SELECT generate_series(1, 10) AS n', 'CREATE SCHEMA b', 'CREATE TABLE b.t (n int)',
    ); // prettier-ignore
    const setup = setupOf(database.url, perSchema);
    const { jobs } = await plan(setup);
    const shared = new SharedSnapshot(setup);
    try {
      const rowsOf = async (unit: string): Promise<unknown> =>
        (await read(setup, jobOf(jobs, unit), readContext(), shared)).facts.get(unit)!.about!['rows'];
      expect(await rowsOf('a')).toBe(10);
      await sql(
        database.url,
        'WITH gone AS (DELETE FROM a.t RETURNING n) INSERT INTO b.t SELECT n FROM gone',
      );
      expect(await rowsOf('b')).toBe(0);
      expect(await rowsOf('a')).toBe(10);
    } finally {
      await shared.close();
    }
  });

  it('a table that was emptied before its turn came fails its schema, and no other', async () => {
    const database = await fresh(
      'CREATE SCHEMA a; CREATE TABLE a.t AS SELECT 1 AS n; CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 1 AS n; CREATE TABLE public.t AS SELECT 1 AS n',
    );
    const setup = setupOf(database.url, perSchema);
    const { jobs } = await plan(setup);
    const shared = new SharedSnapshot(setup);
    const reading = (unit: string): ReturnType<typeof read> =>
      read(setup, jobOf(jobs, unit), readContext(), shared);
    try {
      await reading('a');
      await sql(database.url, 'TRUNCATE b.t');
      await expect(reading('b')).rejects.toMatchObject({
        code: 'source.incomplete',
        message: expect.stringMatching(/table b\.t was emptied/),
      });
      expect((await reading('@database')).facts.get('@database')).toMatchObject({ status: 'good' });
    } finally {
      await shared.close();
    }
  });

  it('a moment that is lost is not replaced by another one, unless nothing was kept of it', async () => {
    const database = await fresh('CREATE SCHEMA a', 'CREATE SCHEMA b');
    const setup = setupOf(database.url, perSchema);
    const { jobs } = await plan(setup);
    const shared = new SharedSnapshot(setup);
    const lose = (): Promise<unknown> =>
      sql(database.url, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pgsilo snapshot' AND datname = current_database()`); // prettier-ignore
    try {
      const failing = { ...jobOf(jobs, 'a'), details: { kind: 'unheard of', tenants: [] } };
      await expect(read(setup, failing, readContext(), shared)).rejects.toMatchObject({
        code: 'source.plan-invalid',
      });
      await lose();
      await read(setup, jobOf(jobs, 'a'), readContext(), shared);
      await lose();
      await expect(read(setup, jobOf(jobs, 'b'), readContext(), shared)).rejects.toMatchObject({
        code: 'source.incomplete',
        message: expect.stringMatching(/kept the moment of this run was lost/),
      });
    } finally {
      await shared.close();
    }
  });

  it('has extensions of the schema in its archive; casts are in @database, and named', async () => {
    const database = await fresh(
      'CREATE SCHEMA "a.b"', 'CREATE EXTENSION hstore SCHEMA "a.b"',
      'CREATE TYPE "a.b".pair AS (a int, b int)',
      'CREATE FUNCTION "a.b".pair_text("a.b".pair) RETURNS text LANGUAGE sql AS $$ SELECT $1.a::text $$',
      'CREATE CAST ("a.b".pair AS text) WITH FUNCTION "a.b".pair_text("a.b".pair)',
      'CREATE SCHEMA b',
    ); // prettier-ignore
    const setup = setupOf(database.url, perSchema);
    expect((await plan(setup)).notes!.join('\n')).toMatch(
      /Of schema a\.b, .*into @database .*cast from .*pair.* to text/,
    );
    const { artifacts, facts } = await backUpAll(setup);
    const kindsOf = async (unit: string, name: string): Promise<string[]> =>
      (await readArchive(bodyOf(artifacts.get(unit)!.get(name)!))).toc.entries.map(({ desc }) => desc);
    expect(await kindsOf('a.b', 'schema.dump')).toContain('EXTENSION');
    expect(await kindsOf('a.b', 'schema.dump')).not.toContain('CAST');
    expect(await kindsOf('@database', 'database.dump')).toContain('CAST');
    expect(facts.get('a.b')!.about).toMatchObject({ leftOut: [expect.stringMatching(/^cast from /)] });
    expect(facts.get('b')!.about).not.toHaveProperty('leftOut');
  });
});

describe('units that were chosen of one pass', () => {
  it('@database alone has no rows of the tenants, however many there are', async () => {
    for (const count of [3, 103]) {
      const names = Array.from({ length: count }, (_, index) => `t"${index}`);
      const database = await fresh(
        ...names.map(
          (name) =>
            `CREATE SCHEMA ${quoteIdentifier(name)}; CREATE TABLE ${quoteIdentifier(name)}.t AS SELECT 'row of a tenant' AS text`,
        ),
        `CREATE TABLE public.own AS SELECT 'row of nobody' AS text`,
      );
      const setup = setupOf(database.url, { match: 't*' });
      const { jobs } = await plan(setup);
      const units = jobs[0]!.units.filter(({ name }) => name === '@database');
      const { artifacts } = await read(setup, { ...jobs[0]!, units });
      const texts = [...artifacts.get('@database')!.values()].map(String).join('\n');
      expect(texts).toContain('row of nobody');
      expect(texts).not.toContain('row of a tenant');
    }
  });

  it('a schema alone has its extensions, and says which casts it lacks', async () => {
    const database = await fresh(
      'CREATE SCHEMA a', 'CREATE EXTENSION hstore SCHEMA a', 'CREATE SCHEMA b', 'CREATE TYPE a.mood AS ENUM (\'good\')',
      'CREATE FUNCTION a.number(a.mood) RETURNS int LANGUAGE sql AS \'SELECT 1\'', 'CREATE CAST (a.mood AS int) WITH FUNCTION a.number(a.mood)',
    ); // prettier-ignore
    const setup = setupOf(database.url, { match: '?' });
    const planned = await plan(setup);
    expect(unitNames(planned)).toEqual(['a', 'b', '@database']);
    const context = readContext(testContext());
    const units = planned.jobs[0]!.units.slice(0, 1);
    const { artifacts, facts } = await read(setup, { ...planned.jobs[0]!, units }, context);
    expect(await scriptOf(server.bin, artifacts.get('a')!.get('schema.dump')!)).toContain(
      'CREATE EXTENSION IF NOT EXISTS hstore',
    );
    expect(facts.get('a')!.about).toMatchObject({ leftOut: ['cast from a.mood to integer'] });
    expect(context.entries.map(({ message }) => message).join('\n')).toMatch(
      /schema a alone lacks .*cast from/,
    );
  });
});
