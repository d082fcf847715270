import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSession, parseConnection, quoteIdentifier } from '@pgsilo/postgres';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { plan, read, scriptOf, setupOf, sql } from './fixture.ts';

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

it('chosen schemas alone are dumped without the others, whatever they are called', async () => {
  const database = await fresh(
    ...['q?x', 'qyx', 'Acme', 'acme', 'a.b'].flatMap((name) => [
      `CREATE SCHEMA ${quoteIdentifier(name)}`,
      `CREATE TABLE ${quoteIdentifier(name)}.t AS SELECT 'row of ${name}' AS text`,
    ]),
  );
  const setup = setupOf(database.url, { match: '*' });
  const { jobs } = await plan(setup);
  for (const name of ['q?x', 'Acme', 'a.b']) {
    const units = jobs[0]!.units.filter((unit) => unit.name === name);
    const result = await read(setup, { ...jobs[0]!, units });
    expect([...result.artifacts.keys()]).toEqual([name]);
    const script = await scriptOf(server.bin, result.artifacts.get(name)!.get('schema.dump')!);
    expect(script).toContain(`CREATE SCHEMA ${quoteIdentifier(name)};`);
    expect(script.match(/row of .*/g)).toEqual([`row of ${name}`]);
  }
});

it('chosen schemas do not wait for the locks of others', async () => {
  const database = await fresh(
    'CREATE SCHEMA a; CREATE TABLE a.t AS SELECT 1 AS n; CREATE SCHEMA b; CREATE TABLE b.t AS SELECT 2 AS n',
  );
  const setup = setupOf(database.url, { match: '*', lockTimeout: '300ms' });
  const { jobs } = await plan(setup);
  const migration = await openSession(parseConnection(database.url), {
    applicationName: 'migration',
    purpose: 'migrate',
  });
  try {
    await migration.query('BEGIN');
    await migration.query('LOCK TABLE b.t IN ACCESS EXCLUSIVE MODE');
    const job = (...names: string[]): (typeof jobs)[0] => ({
      ...jobs[0]!,
      units: jobs[0]!.units.filter(({ name }) => names.includes(name)),
    });
    expect((await read(setup, job('a')!)).facts.get('a')).toMatchObject({ about: { rows: 1 } });
    await expect(read(setup, job('a', 'b')!)).rejects.toMatchObject({ code: 'source.lock-timeout' });
  } finally {
    await migration.close();
  }
});
