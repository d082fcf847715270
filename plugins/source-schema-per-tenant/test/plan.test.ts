import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { checkSource } from '../src/check.ts';
import { options } from '../src/options.ts';
import { plan, setupOf, sql, unitNames } from './fixture.ts';

let server: SharedPostgres;
let database: FreshDatabase;
beforeAll(async () => {
  server = await sharedPostgres();
  database = await server.freshDatabase('plans');
  await sql(
    database.url,
    'CREATE SCHEMA tenant_1; CREATE SCHEMA "tenantx1"; CREATE SCHEMA "Tenant_1"; CREATE SCHEMA "tenant%1"; CREATE SCHEMA "a.b"; CREATE TABLE "a.b".t (n int)',
    'CREATE SCHEMA central; CREATE TABLE central.tenants (schema text, unit text, plan text)',
    `INSERT INTO central.tenants VALUES ('tenant_1', 'one', 'paid'), ('Tenant_1', 'One', NULL)`,
  );
});
afterAll(() => database.drop());

const setup = (written: Record<string, unknown>): ReturnType<typeof setupOf> =>
  setupOf(database.url, { uncovered: 'ignore', ...written });
const refusalOf = async (written: Record<string, unknown>): Promise<string> => {
  const error: unknown = await plan(setup(written)).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'source.plan-invalid' });
  return (error as Error).message;
};

describe('which schemas are units', () => {
  it('patterns fit as they are written: _ and % and the case of letters mean themselves', async () => {
    const unitsOf = async (match: string | string[], exclude?: string): Promise<string[]> =>
      unitNames(await plan(setup({ match, ...(exclude === undefined ? {} : { exclude }) })));
    expect(await unitsOf('tenant_1')).toEqual(['tenant_1', '@database']);
    expect(await unitsOf('tenant?1')).toEqual(['tenant%1', 'tenant_1', 'tenantx1', '@database']);
    expect(await unitsOf('tenant%*')).toEqual(['tenant%1', '@database']);
    expect(await unitsOf('*', 'tenant*')).toEqual(['Tenant_1', 'a.b', 'central', 'public', '@database']);
    expect(await refusalOf({ match: 'nobody_*' })).toMatch(
      /no schema of database .* fits match: "nobody_\*"/,
    );
  });

  it('a registry in a shared schema names units and labels; shared schemas are units too', async () => {
    const query = 'SELECT schema, unit, plan FROM central.tenants ORDER BY 1 DESC';
    const planned = await plan(setup({ registry: { query }, shared: ['central'] }));
    expect(planned.jobs).toHaveLength(1);
    expect(planned.jobs[0]!.units).toEqual([
      { name: 'one', labels: { plan: 'paid' }, origin: { database: database.name, schema: 'tenant_1' } },
      { name: 'One', labels: {}, origin: { database: database.name, schema: 'Tenant_1' } },
      { name: 'central', labels: { role: 'shared' }, origin: { database: database.name, schema: 'central' } },
      { name: '@database', labels: {}, origin: { database: database.name } },
    ]);
  });

  it('a schema that is not there is a missing unit, and the others are backed up', async () => {
    const planned = await plan(setup({ schemas: ['tenant_1', 'TENANT_1'] }));
    expect(unitNames(planned)).toEqual(['tenant_1', '@database']);
    expect(planned.missing).toMatchObject([
      { unit: { name: 'TENANT_1' }, error: { code: 'source.unit-missing' } },
    ]);
  });

  it('a list that cannot be trusted is refused', async () => {
    expect(await refusalOf({ schemas: ['tenant_1', 'tenant_1'] })).toMatch(/are one unit, tenant_1/);
    expect(await refusalOf({ schemas: ['tenant_1'], shared: ['tenant_1'] })).toMatch(/are one unit/);
    expect(await refusalOf({ schemas: ['tenant_1'], exclude: 'tenant*' })).toMatch(
      /which exclude leaves out/,
    );
    const rows = (text: string): Record<string, unknown> => ({ registry: { query: text } });
    expect(await refusalOf(rows(`SELECT 'tenant_1' AS schema, '@database' AS unit`))).toMatch(
      /begins with @/,
    );
    expect(await refusalOf(rows(`SELECT 'tenant_1' AS schema WHERE false`))).toMatch(/returned no row/);
    expect(await refusalOf(rows(`SELECT 'tenant_1' AS database`))).toMatch(/no column "schema"/);
  });

  it('schemas with tables that no rule covers are named, unless that was not wanted', async () => {
    const covered = { match: 'tenant*', shared: ['central'] };
    const { warnings } = await plan(setup({ ...covered, uncovered: 'warn' }));
    expect(warnings).toEqual([
      'a schema with tables is covered by no rule and backed up as a part of @database: a.b',
    ]);
    expect((await plan(setup(covered))).warnings).toEqual([]);
  });
});

it('options that contradict each other are refused', () => {
  const mistakes = (written: object): string =>
    (options.safeParse({ connection: database.url, ...written }).error?.issues ?? [])
      .map(({ message }) => message)
      .join();
  expect(mistakes({})).toMatch(/exactly one of registry, match and schemas .* there is none/);
  expect(mistakes({ match: 'a', schemas: ['b'] })).toMatch(/there are match and schemas/);
  expect(mistakes({ match: 'a', strategy: 'per-schema', largeObjects: { by: 'owner' } })).toMatch(
    /told apart by owner in one pass alone/,
  );
  expect(mistakes({ match: 'a', largeObjects: { by: 'size' } })).not.toBe('');
  expect(mistakes({ match: 'a[' })).toMatch(/no \] closes/);
  expect(mistakes({ match: 'a', execPort: 5432 })).toMatch(/execPort means nothing without exec/);
});

it('check tells of tools, units, locks, large objects and what the role cannot read', async () => {
  const resultsOf = async (url: string): Promise<string> => {
    const context = testContext();
    const results = await Array.fromAsync(checkSource(setupOf(url, { match: 'tenant*' }), context));
    return results.map(({ name, status, message }) => `${status} ${name}: ${message}`).join('\n');
  };
  const sound = await resultsOf(database.url);
  expect(sound).not.toMatch(/^failed/m);
  expect(sound).toMatch(/^ok units: 3 schemas$/m);
  expect(sound).toMatch(
    /^ok locks: a dump of database .* holds 2 locks, and the server has room for [\d,]+$/m,
  );
  expect(sound).toMatch(/^ok large objects: there are none$/m);
  await sql(database.url, `SELECT lo_from_bytea(77, 'x')`);
  const role = `humble_${process.pid}`;
  await sql(database.url, `CREATE ROLE ${role} LOGIN PASSWORD 'humble'`);
  try {
    expect(await resultsOf(database.url)).toMatch(/^failed large objects: .* holds 1 large object,/m);
    const humble = database.url.replace(/\/\/[^@]*@/, `//${role}:humble@`);
    expect(await resultsOf(humble)).toMatch(/^failed access: .*(?:a\.b|central)/m);
  } finally {
    await sql(database.url, `DROP ROLE ${role}`, 'SELECT lo_unlink(77)');
  }
});
