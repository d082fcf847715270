import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheckResult } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { checkSource } from '../src/check.ts';
import type { SourceSetup } from '../src/setup.ts';
import { createDatabases, setupOf, sql } from './fixture.ts';

let server: ThrowawayPostgres;
let other: ThrowawayPostgres;
beforeAll(async () => {
  [server, other] = await Promise.all([
    startPostgres({ settings: { max_connections: 20, max_locks_per_transaction: 10 } }),
    startPostgres(),
  ]);
  await createDatabases(server.url, ['acme', 'many', 'private']);
  await sql(
    server.url,
    'postgres',
    `CREATE ROLE reader LOGIN PASSWORD 'reader-pw'`,
    `CREATE ROLE all_reader LOGIN PASSWORD 'reader-pw'`,
    'GRANT pg_read_all_data TO all_reader',
    'REVOKE CONNECT ON DATABASE private FROM PUBLIC',
  );
  await sql(
    server.url,
    'acme',
    'CREATE TABLE a (id int)',
    'CREATE TABLE b (id int)',
    'GRANT SELECT ON a TO reader',
    'ALTER TABLE b ENABLE ROW LEVEL SECURITY',
    'SELECT lo_create(0)',
  );
  for (let batch = 0; batch < 15; batch += 1) {
    await sql(
      server.url,
      'many',
      ...Array.from({ length: 10 }, (_, index) => `CREATE TABLE t${batch}_${index} (id int)`),
    );
  }
});
afterAll(() => Promise.all([server.stop(), other.stop()]));

async function check(setup: SourceSetup): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for await (const result of checkSource(setup, testContext())) results.push(result);
  return results;
}
const as = (role: string): string => server.url.replace(`postgres:${server.password}`, `${role}:reader-pw`);
const bad = (results: readonly CheckResult[]): string[] =>
  results
    .filter((result) => result.status !== 'ok')
    .map((result) => `${result.name} ${result.status}: ${result.message}`);

describe('check', () => {
  it('finds nothing wrong where nothing is', async () => {
    const results = await check(setupOf(server.url, { databases: ['acme'], exclude: '*[!e]' }));
    expect(bad(results).filter((line) => !line.startsWith('units warning'))).toEqual([]);
    expect(results.map((result) => result.name)).toEqual(
      expect.arrayContaining([
        'server',
        'pg_dump',
        'pg_dumpall',
        'pg_restore',
        'pg_dump login',
        'units',
        'role',
        'locks',
      ]),
    );
    for (const result of results.filter((one) => one.status !== 'ok'))
      expect(result.hint ?? result.name).toBeTruthy();
  });

  it('says what a role cannot read', async () => {
    const setup = setupOf(as('reader'), { databases: ['acme', 'private'], exclude: 'many' });
    const found = bad(await check(setup)).join('\n');
    expect(found).toMatch(/globals warning: reader may not read pg_authid/);
    expect(found).toMatch(/access failed: database acme: public\.b cannot be read/);
    expect(found).toMatch(/access failed: .*private.*permission denied/);
    const all = bad(
      await check(setupOf(as('all_reader'), { databases: ['acme'], exclude: ['many', 'private'] })),
    ).join('\n');
    expect(all).toMatch(/access failed: database acme: row-level security hides rows of public\.b/);
    await sql(server.url, 'postgres', 'ALTER ROLE all_reader BYPASSRLS');
    expect(bad(await check(setupOf(as('all_reader'), { databases: ['acme'] }))).join('\n')).toMatch(
      /1 large object cannot be read/,
    );
  });

  it('says when the largest database has too many tables for the lock table', async () => {
    const found = bad(await check(setupOf(server.url, { databases: ['many'] }))).join('\n');
    expect(found).toMatch(
      /locks warning: 150 tables in the largest database, many; the server has room for 200 locks/,
    );
  });

  it('says what is missing, without stopping at it', async () => {
    const found = bad(
      await check(setupOf(server.url, { databases: ['acme', 'gone'], bin: '/nowhere' })),
    ).join('\n');
    expect(found).toMatch(/pg_dump failed: pg_dump was not found in \/nowhere/);
    expect(found).toMatch(/units failed: gone: database gone does not exist/);
    const unreachable = await check(setupOf('postgres://postgres@127.0.0.1:1/postgres', { match: '*' }));
    expect(bad(unreachable)).toEqual([expect.stringMatching(/^server failed: .*ECONNREFUSED/)]);
    const wrong = await check(setupOf(server.url.replace(server.password, 'wrong-password'), { match: '*' }));
    expect(bad(wrong)).toEqual([expect.stringMatching(/^server failed: .*password authentication failed/)]);
  });

  it('finds that exec reaches another server', async () => {
    const exec = ['env', `PGPASSWORD=${other.password}`];
    const setup = setupOf(server.url, {
      databases: ['acme'],
      exec,
      execHost: '127.0.0.1',
      execPort: other.port,
      bin: server.bin,
    });
    expect(bad(await check(setup)).join('\n')).toMatch(/pg_dump login failed: .*(snapshot|does not exist)/s);
  });
});
