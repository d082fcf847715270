import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckResult, Source } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { options } from '../src/options.ts';
import { backUp, removeBackups, sourceOf, sql } from './cluster.ts';

let server: ThrowawayPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await removeBackups();
  await server.stop();
});

describe('a database that pg_dumpall cannot dump', () => {
  const name = 'two\nlines';
  beforeAll(() => sql(server, 'postgres', `CREATE DATABASE "${name}"`));
  afterAll(() => sql(server, 'postgres', `DROP DATABASE "${name}"`));

  async function findings(source: Source): Promise<CheckResult[]> {
    const context = testContext();
    const found: CheckResult[] = [];
    for await (const one of source.check(context)) found.push(one);
    await context.dispose();
    return found.filter(({ status }) => status === 'failed');
  }

  test('is named by the check and by the plan, and fails the backup by its name', async () => {
    const message = expect.stringContaining(String.raw`"two\nlines"`);
    expect(await findings(sourceOf(server))).toEqual([
      { name: 'databases', status: 'failed', message, hint: expect.stringContaining('RENAME') },
    ]);
    const context = testContext();
    const { warnings } = await sourceOf(server).plan({ lastBytes: () => undefined }, context);
    expect(warnings).toContainEqual(message);
    await context.dispose();
    await expect(backUp(server)).rejects.toMatchObject({ code: 'source.failed', message });
  });

  test('can be left out', async () => {
    expect(await findings(sourceOf(server, { excludeDatabase: 'two?lines' }))).toEqual([]);
    const { facts } = await backUp(server, { excludeDatabase: 'two?lines' });
    expect(facts.about).toMatchObject({ databases: 2 });
  });
});

describe('the check', () => {
  test('finds nothing wrong where nothing is, and warns of what pg_dumpall leaves out without a word', async () => {
    await sql(server, 'postgres', 'CREATE DATABASE closed', 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
    const context = testContext();
    const found: CheckResult[] = [];
    for await (const one of sourceOf(server).check(context)) found.push(one);
    await context.dispose();
    await sql(server, 'postgres', 'DROP DATABASE closed');
    expect(found.filter(({ status }) => status === 'failed')).toEqual([]);
    expect(found.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['server', 'pg_dumpall', 'pg_dump', 'psql', 'role', 'databases']),
    );
    const warnings = found.flatMap(({ status, message }) => (status === 'warning' ? [message] : []));
    expect(warnings).toContainEqual(expect.stringMatching(/allow no connections: closed/));
    expect(warnings).toContainEqual(expect.stringMatching(/share no snapshot/));
  });

  test('says when the role may not read passwords', async () => {
    await sql(server, 'postgres', `CREATE ROLE reader LOGIN PASSWORD 'x'`);
    const connection = server.url.replace(/\/\/[^@]*@/, '//reader:x@');
    const context = testContext();
    const found: CheckResult[] = [];
    for await (const one of sourceOf(server, { connection }).check(context)) found.push(one);
    await context.dispose();
    await sql(server, 'postgres', 'DROP ROLE reader');
    expect(found).toContainEqual(expect.objectContaining({ name: 'passwords', status: 'warning' }));
    expect(found).toContainEqual(expect.objectContaining({ name: 'role', status: 'warning' }));
  });
});

describe('the options', () => {
  test.each([
    [{ rolesOnly: true, globalsOnly: true }, /exclude each other/],
    [{ rolesOnly: true, excludeDatabase: 'a' }, /means nothing/],
    [{ globalsOnly: true, excludeDatabase: ['a'] }, /means nothing/],
    [{ excludeDatabase: 'a[' }, /no \] closes/],
    [{ execHost: 'db' }, /means nothing without exec/],
    [{ databases: ['a'] }, /databases/],
  ])('%j are refused', (written, message) => {
    expect(() => options.parse({ connection: 'postgresql://x@y/z', ...written })).toThrow(message);
  });
});
