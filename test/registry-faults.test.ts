import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { filesBelow } from './services/folder-tree.ts';
import { writeRegistryPipeline } from './services/registry-pipeline.ts';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { startServer, type TestServer } from './services/server.ts';

const long = 'x'.repeat(63);

/** Registries that cannot be trusted: nothing of them may be taken for the list of tenants. */
const distrusted: readonly [what: string, query: string, message: RegExp][] = [
  [
    'fails',
    'SELECT db AS database FROM nowhere',
    /^source.plan-invalid: .*relation "nowhere" does not exist/,
  ],
  [
    'fails at its third row',
    'SELECT db AS database, 1 / (3 - n) AS share FROM tenants ORDER BY n',
    /^source.plan-invalid: .*division by zero/,
  ],
  ['may not be read', 'SELECT rolname AS database FROM pg_authid', /^source.denied: .*permission denied/],
  ['is no query', 'this is no SQL', /^source.plan-invalid: .*syntax error/],
  [
    'returns no row',
    'SELECT db AS database FROM tenants WHERE false',
    /^source.plan-invalid: .*returned no row/,
  ],
  [
    'returns no column "database"',
    'SELECT db FROM tenants',
    /^source.plan-invalid: .*no column "database", but db/,
  ],
  [
    'returns a database that is NULL',
    `SELECT db AS database FROM tenants UNION ALL SELECT NULL`,
    /^source.plan-invalid: .*row 4 .*database is NULL/,
  ],
  [
    'returns a unit that is NULL',
    `SELECT db AS database, nullif(unit, 'two') AS unit FROM tenants ORDER BY n`,
    /^source.plan-invalid: .*row 2 .*unit is NULL/,
  ],
  [
    'returns a unit that is empty',
    `SELECT db AS database, replace(unit, 'two', '') AS unit FROM tenants ORDER BY n`,
    /^source.plan-invalid: .*row 2 .*unit is empty/,
  ],
  [
    'returns nothing but NULLs',
    'SELECT NULL AS database, NULL AS unit',
    /^source.plan-invalid: .*row 1 .*NULL/,
  ],
  [
    'returns one database twice',
    `SELECT db AS database, unit FROM tenants UNION ALL SELECT 'one_db', 'again'`,
    /^source.plan-invalid: .*row 4 .* and row 1 .* name one database, one_db/,
  ],
  [
    'returns one unit twice',
    `SELECT db AS database, CASE n WHEN 3 THEN 'one' ELSE unit END AS unit FROM tenants ORDER BY n`,
    /^source.plan-invalid: .*row 3 .* and row 1 .* are one unit, one/,
  ],
  [
    'returns every row twice',
    'SELECT db AS database FROM tenants, generate_series(1, 2)',
    /^source.plan-invalid: .*are one unit/,
  ],
  [
    'calls a tenant @globals',
    `SELECT db AS database, CASE n WHEN 2 THEN '@globals' ELSE unit END AS unit FROM tenants ORDER BY n`,
    /^source.plan-invalid: .*@globals.* begins with @, which is reserved/,
  ],
  [
    'calls a tenant by the name of the registry',
    `SELECT db AS database, CASE n WHEN 2 THEN 'registry' ELSE unit END AS unit FROM tenants`,
    /^source.plan-invalid: .*are one unit, registry/,
  ],
  ['would write', 'SELECT write() AS database', /^source.plan-invalid: .*read-only transaction/],
  [
    'is more than one statement',
    `SELECT db AS database FROM tenants; COMMIT`,
    /^source.plan-invalid: .*multiple commands/,
  ],
];

/** Databases that are not there: each is nearly the name of one that is. */
const absent: readonly [what: string, written: string][] = [
  ['was never there', 'gone_db'],
  ['differs in case', 'ONE_db'],
  ['has a space behind it', 'one_db '],
  ['has one byte more than a name can have', `${long}y`],
  ['is a template', 'template1'],
];

describe('a registry', { timeout: 120_000 }, () => {
  let server: TestServer;
  let at: CallOptions;

  beforeAll(async () => {
    server = await startServer();
    for (const name of ['registry', 'one_db', 'two_db', 'three_db', long])
      await server.query('postgres', `CREATE DATABASE "${name}"`);
    await server.query(
      'registry',
      `CREATE TABLE tenants (n integer PRIMARY KEY, db text, unit text);
       INSERT INTO tenants VALUES (1, 'one_db', 'one'), (2, 'two_db', 'two'), (3, 'three_db', 'globals');
       CREATE FUNCTION write() RETURNS text LANGUAGE sql AS $$INSERT INTO tenants VALUES (9, 'x', 'x') RETURNING db$$;
       CREATE ROLE backup LOGIN PASSWORD 'backup-pw'`,
    );
    await server.query('registry', 'GRANT SELECT ON tenants TO backup');
    const url = server.url.replace(`postgres:${server.password}`, 'backup:backup-pw');
    at = { cwd: server.folder, env: { VIGIA_URL: url } };
  });
  afterAll(async () => server?.stop());

  const stored = (pipeline: string): string[] => {
    const folder = join(server.folder, 'store', pipeline);
    return existsSync(folder) ? filesBelow(folder).filter((path) => path.startsWith(`${pipeline}/`)) : [];
  };

  it.each(distrusted)('that %s is an error with exit 3, and nothing is stored', async (_, query, message) => {
    const file = writeRegistryPipeline(server, { name: 'distrusted', query });
    const result = await pgsilo(['backup', file, '--json'], at);
    expect(result.exit).toBe(3);
    const [run] = result.json<any>()['runs'];
    expect(run.exit).toBe(3);
    expect(`${run.error.code}: ${run.error.message}`).toMatch(message);
    expect(run).not.toHaveProperty('report');
    expect(stored('distrusted')).toEqual([]);
  });

  it('that returns no row stops plan as it stops backup', async () => {
    const file = writeRegistryPipeline(server, {
      name: 'distrusted',
      query: 'SELECT 1 AS database WHERE false',
    });
    const result = await pgsilo(['plan', file, '--json'], at);
    expect(result.exit).toBe(3);
    expect(result.json<any>()).toMatchObject({ error: { code: 'source.plan-invalid' } });
  });

  it('whose database is not there is an error with exit 3, and nothing is stored', async () => {
    const file = writeRegistryPipeline(server, { name: 'lost', database: 'no registry', query: 'SELECT 1' });
    const result = await pgsilo(['backup', file], at);
    expect(result.exit).toBe(3);
    expect(result.stderr).toContain('source.plan-invalid');
    expect(result.stderr).toContain('registry.database');
    expect(stored('lost')).toEqual([]);
  });

  it.each(absent)(
    'that names a database that %s fails that tenant with exit 1, and stores nothing of it',
    async (_, database) => {
      await server.query('registry', 'INSERT INTO tenants VALUES (4, $1, $1)', [database]);
      try {
        const file = writeRegistryPipeline(server, {
          name: 'absent',
          query: 'SELECT db AS database, unit FROM tenants WHERE n IN (1, 4)',
        });
        const result = await pgsilo(['backup', file, '--json'], at);
        expect(result.exit).toBe(1);
        const { report } = result.json<any>()['runs'][0];
        expect(report.status).toBe('partial');
        expect(report.units.find((one: any) => one.unit === database)).toMatchObject({
          status: 'failed',
          error: { code: 'source.unit-missing' },
        });
        expect(report.units.find((one: any) => one.unit === 'one')).toMatchObject({ status: 'good' });
        const { backups } = (await pgsiloOk(['list', file, '--json'], at)).json<{ backups: any[] }>();
        expect(new Set(backups.map(({ unit }) => unit))).toEqual(new Set(['@globals', 'registry', 'one']));
      } finally {
        await server.query('registry', 'DELETE FROM tenants WHERE n = 4');
      }
    },
  );

  it('that names nothing but databases that are not there is no success', async () => {
    const file = writeRegistryPipeline(server, {
      name: 'all-gone',
      query: `SELECT 'gone_' || n AS database FROM tenants`,
    });
    const result = await pgsilo(['backup', file, '--json'], at);
    expect(result.exit).toBe(1);
    const units = result.json<any>()['runs'][0].report.units.map((one: any) => `${one.unit} ${one.status}`);
    expect(units.toSorted()).toEqual([
      '@globals good',
      'gone_1 failed',
      'gone_2 failed',
      'gone_3 failed',
      'registry good',
    ]);
  });

  it('may call a tenant "globals", which is not the unit @globals', async () => {
    const file = writeRegistryPipeline(server, {
      name: 'named',
      query: 'SELECT db AS database, unit FROM tenants',
    });
    await pgsiloOk(['backup', file], at);
    const { backups } = (await pgsiloOk(['list', file, '--json'], at)).json<{ backups: any[] }>();
    expect(backups.map(({ unit }) => unit).toSorted()).toEqual([
      '@globals',
      'globals',
      'one',
      'registry',
      'two',
    ]);
    for (const [unit, artifact] of [
      ['globals', 'database.dump'],
      ['@globals', 'globals.sql'],
    ] as const) {
      const shown = (await pgsiloOk(['show', file, unit, '--json'], at)).json<any>()['manifest'];
      expect(shown.unit.name).toBe(unit);
      expect(shown.artifacts.map((one: any) => one.name)).toContain(artifact);
    }
  });
});
