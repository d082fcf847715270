import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSession, parseConnection, quoteIdentifier, databaseSizes } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { createDatabases, hostileNames, plan, setupOf, sql, unitNames } from './fixture.ts';

let server: ThrowawayPostgres;
beforeAll(async () => {
  server = await startPostgres();
  await createDatabases(server.url, [...hostileNames, 'registry', 'forgotten', 'closed', 'shape']);
  await sql(
    server.url,
    'registry',
    'CREATE TABLE tenants (db text, name text, tier text, active bool DEFAULT true)',
    'CREATE FUNCTION write() RETURNS text LANGUAGE sql AS $$INSERT INTO tenants VALUES ($1) RETURNING db$$'.replace(
      'write()',
      'write(text)',
    ),
  );
  for (const name of hostileNames)
    await sql(server.url, 'registry', `INSERT INTO tenants VALUES (${quote(name)}, NULL, 'gold')`);
  await sql(
    server.url,
    'postgres',
    'ALTER DATABASE closed ALLOW_CONNECTIONS false',
    'ALTER DATABASE shape IS_TEMPLATE true',
  );
});
afterAll(() => server.stop());

const quote = (text: string): string =>
  `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll('\n', '\\n')}'`;
const registry = (query: string, more: Record<string, unknown> = {}): ReturnType<typeof setupOf> =>
  setupOf(server.url, { registry: { database: 'registry', query }, ...more });
const all = `SELECT db AS database, tier, active, NULL AS nothing FROM tenants`;

describe('units of a registry', () => {
  it('are all there, whatever they are called, with labels and the registry itself', async () => {
    const found = await plan(registry(all));
    expect(unitNames(found).sort()).toEqual([...hostileNames, 'registry', '@globals'].sort());
    expect(found.missing).toEqual([]);
    const units = found.jobs.flatMap((job) => job.units);
    expect(units.find(({ name }) => name === 'acme')).toEqual({
      name: 'acme',
      labels: { tier: 'gold', active: 't' },
      origin: { database: 'acme' },
    });
    expect(units.find(({ name }) => name === 'registry')?.labels).toEqual({ role: 'registry' });
    expect(
      found.jobs.filter((job) => job.id !== 'globals').every((job) => job.estimatedBytes! > 1_000_000),
    ).toBe(true);
    expect(found.warnings).toEqual([
      expect.stringMatching(/^2 databases are on the server and not backed up: closed, forgotten$/),
    ]);
  });

  it('have job ids that are safe, different and stable', async () => {
    const ids = (await plan(registry(all))).jobs.map((job) => job.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z0-9-]{1,40}$/);
    expect((await plan(registry(`${all} ORDER BY db DESC`))).jobs.map((job) => job.id).sort()).toEqual(
      ids.sort(),
    );
  });

  it('can have names of their own, and the registry may list itself', async () => {
    const found = await plan(
      registry(
        `SELECT 'acme' AS database, 'One' AS unit UNION ALL SELECT 'registry', 'Main' ORDER BY 2 DESC`,
      ),
    );
    expect(unitNames(found)).toEqual(['One', 'Main', '@globals']);
  });

  it('that do not exist or cannot be opened are missing, each with its reason', async () => {
    const found = await plan(
      registry(
        `VALUES ('acme'), ('gone'), ('closed'), ('shape')`.replace('VALUES', 'SELECT * FROM (VALUES') +
          ') v (database)',
      ),
    );
    expect(unitNames(found)).toEqual(['acme', 'registry', '@globals']);
    expect(found.missing.map(({ unit, error }) => [unit.name, error.code])).toEqual([
      ['gone', 'source.unit-missing'],
      ['closed', 'source.denied'],
      ['shape', 'source.unit-missing'],
    ]);
  });

  it.each([
    ['nothing', `SELECT 'x' AS database WHERE false`, /returned no row/],
    ['no database column', `SELECT 'x' AS db`, /no column "database", but db/],
    ['a NULL database', `SELECT 'acme' AS database UNION ALL SELECT NULL`, /row 2 .*NULL/],
    ['an empty database', `SELECT '' AS database`, /row 1 .*empty/],
    ['a NULL unit', `SELECT 'acme' AS database, NULL::text AS unit`, /unit is NULL/],
    ['an empty unit', `SELECT 'acme' AS database, '' AS unit`, /unit is empty/],
    [
      'a database twice',
      `SELECT 'acme' AS database, n::text AS unit FROM generate_series(1, 2) n`,
      /row 2 .* and row 1 .* name one database, acme/,
    ],
    ['a unit twice', `SELECT db AS database, 'u' AS unit FROM tenants`, /are one unit, u/],
    [
      'the name of the registry for another',
      `SELECT 'acme' AS database, 'registry' AS unit`,
      /the registry itself and row 1 .* are one unit/,
    ],
    ['@globals', `SELECT 'acme' AS database, '@globals' AS unit`, /"@globals"|@globals begins with @/],
    ['a reserved name', `SELECT 'acme' AS database, '_x' AS unit`, /begins with _/],
    ['a column twice', `SELECT 'acme' AS database, 1 AS a, 2 AS a`, /two columns a/],
    ['an error', 'SELECT * FROM nowhere', /relation "nowhere" does not exist/],
    ['two statements', `SELECT 'acme' AS database; COMMIT`, /multiple commands/],
    ['a write', `SELECT write('acme') AS database`, /read-only transaction/],
    ['no rows by nature', 'SET work_mem = 100', /no column "database"/],
  ])('of a query that returns %s are an error, never a short list', async (_, query, message) => {
    await expect(plan(registry(query))).rejects.toMatchObject({
      code: 'source.plan-invalid',
      message: expect.stringMatching(message),
    });
  });

  it('are an error when row-level security would hide some', async () => {
    await sql(
      server.url,
      'registry',
      'CREATE TABLE guarded AS SELECT db FROM tenants',
      'ALTER TABLE guarded ENABLE ROW LEVEL SECURITY',
      `CREATE POLICY only_acme ON guarded USING (db = 'acme')`,
      `CREATE ROLE reader LOGIN PASSWORD 'reader-pw'`,
      'GRANT SELECT ON guarded TO reader',
    );
    const url = server.url.replace(`postgres:${server.password}`, 'reader:reader-pw');
    const setup = setupOf(url, {
      registry: { database: 'registry', query: 'SELECT db AS database FROM guarded' },
    });
    await expect(plan(setup)).rejects.toMatchObject({
      code: 'source.denied',
      message: expect.stringMatching(/row-level security/),
    });
  });

  it('are an error when the server or the registry is not there', async () => {
    const gone = setupOf('postgres://postgres@127.0.0.1:1/postgres', { match: '*' });
    await expect(plan(gone)).rejects.toMatchObject({ code: 'source.unreachable' });
    const noRegistry = setupOf(server.url, { registry: { database: 'nope', query: 'SELECT 1' } });
    await expect(plan(noRegistry)).rejects.toMatchObject({
      code: 'source.plan-invalid',
      message: expect.stringMatching(/"?nope"? does not exist/),
      hint: expect.stringContaining('registry.database'),
    });
  });
});

describe('units by patterns and by name', () => {
  it('are silent of the others where other pipelines back them up', async () => {
    expect((await plan(registry(all, { uncovered: 'ignore' }))).warnings).toEqual([]);
  });

  it('fit match and not exclude, and are never templates', async () => {
    const found = await plan(
      setupOf(server.url, { match: ['a*', 's*', 'template?'], exclude: 'a?b', globals: false }),
    );
    expect(unitNames(found).sort()).toEqual(['acme']);
    expect(found.warnings[0]).not.toContain('a b');
    expect(found.warnings[0]).toContain('forgotten');
    await expect(plan(setupOf(server.url, { match: 'zz*' }))).rejects.toMatchObject({
      code: 'source.plan-invalid',
    });
  });

  it('are not the ones that a restore works in; copies that it left are named together', async () => {
    const working = 'pgsilo_restoring_00112233445566aa';
    const copies = ['acme_restored_20261121t020000z_7f3a9c', 'acme_before_20261121t020000z_7f3a9c_2'];
    const near = ['pgsilo_restoring_by_hand', 'acme_restored'];
    await createDatabases(server.url, [working, ...copies, ...near]);
    try {
      const all = await plan(setupOf(server.url, { match: ['acme*', 'pgsilo*'], exclude: 'x' }));
      expect(unitNames(all).sort()).toEqual(['@globals', 'acme', ...copies, ...near].sort());
      expect(all.warnings[1]).toBe(
        `2 databases look like copies made by restores, backed up like any other: ${[...copies].sort().join(', ')}; drop what nobody needs`,
      );
      const one = await plan(setupOf(server.url, { match: 'acme', exclude: copies[1] }));
      expect(one.warnings[0]).toContain('acme_restored, ');
      expect(one.warnings[0]).not.toContain(copies[0]);
      expect(one.warnings.join()).not.toContain(working);
      expect(one.warnings[1]).toBe(
        `a database looks like a copy made by restores, not backed up: ${copies[0]}; drop what nobody needs`,
      );
      const listed = await plan(setupOf(server.url, { databases: ['acme', working] }));
      expect(listed.missing.map(({ error }) => error.code)).toEqual(['source.unit-missing']);
    } finally {
      for (const name of [working, ...copies, ...near])
        await sql(server.url, 'postgres', `DROP DATABASE ${quoteIdentifier(name)}`);
    }
  });

  it('go without a size when asking for all of them takes too long', async () => {
    const session = await openSession(parseConnection(server.url), {
      applicationName: 'test',
      purpose: 'test',
    });
    try {
      const names = [...Array.from({ length: 200 }, (_, index) => `no such database ${index}`), 'acme'];
      const context = testContext();
      expect([...(await databaseSizes(session, names, context)).keys()]).toEqual(['acme']);
      let now = 0;
      const slow = { ...context, clock: { ...context.clock, now: () => new Date((now += 6000)) } };
      expect([...(await databaseSizes(session, names, slow)).keys()]).toEqual([]);
    } finally {
      await session.close();
    }
  });

  it('are the listed ones', async () => {
    const found = await plan(setupOf(server.url, { databases: ['acme', 'gone'] }), { acme: 77 });
    expect(found.jobs[0]).toMatchObject({ units: [{ name: 'acme' }], estimatedBytes: 77 });
    expect(found.missing.map(({ unit }) => unit.name)).toEqual(['gone']);
    expect(found.warnings).toHaveLength(1);
    await expect(plan(setupOf(server.url, { databases: ['acme', 'acme'] }))).rejects.toMatchObject({
      code: 'source.plan-invalid',
    });
    await expect(plan(setupOf(server.url, { databases: ['acme'], exclude: 'ac*' }))).rejects.toMatchObject({
      code: 'source.plan-invalid',
    });
  });
});
