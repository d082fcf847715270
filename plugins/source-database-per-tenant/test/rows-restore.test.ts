import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { RestoreRequest } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { prepareRestore } from '../src/restore.ts';
import { backUp, database, request, restore, setupFor, type TestBackup } from './backups.ts';
import { databasesOf, sql, textOf } from './servers.ts';

vi.setConfig({ testTimeout: 120_000 });

const name = `it's "acme".x`;
let server: ThrowawayPostgres;
let backup: TestBackup;

beforeAll(async () => {
  server = await startPostgres();
  await sql(server, 'postgres', 'CREATE ROLE "some app"');
  await sql(server, 'postgres', `CREATE DATABASE "it's ""acme"".x" OWNER "some app"`);
  await sql(
    server,
    name,
    `CREATE TABLE public.accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text, body text, image oid);
     CREATE SCHEMA "Odd. one"; CREATE TABLE "Odd. one"."rows ""x""" (n int PRIMARY KEY, account bigint REFERENCES public.accounts, note text);
     CREATE TABLE "Odd. one".accounts (n int); CREATE TABLE "Odd. one".noted (n int);
     CREATE FUNCTION "Odd. one".note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO noted VALUES (NEW.n); RETURN NEW; END $$;
     INSERT INTO public.accounts (tenant, body, image) SELECT CASE WHEN n <= 3 THEN 'abc' ELSE 'other' END, E'tab\\t' || n, lo_from_bytea(0, 'x') FROM generate_series(1, 6) n;
     INSERT INTO "Odd. one"."rows ""x""" SELECT n, n, 'kept' FROM generate_series(1, 6) n; INSERT INTO "Odd. one".noted VALUES (0);
     CREATE TRIGGER note AFTER INSERT ON "Odd. one"."rows ""x""" FOR EACH ROW EXECUTE FUNCTION "Odd. one".note(); ALTER TABLE public.accounts OWNER TO "some app"`,
  );
  backup = await backUp(server.url, database(name), undefined, { fingerprint: 'content' });
});
afterAll(async () => {
  await backup?.remove();
  await server?.stop();
});

const setup = (): ReturnType<typeof setupFor> => setupFor(server.url, { lockTimeout: '2s' });
const rows = (table: string, where: string | undefined, more: Partial<RestoreRequest> = {}): RestoreRequest =>
  request(backup, { rows: [{ table, ...(where === undefined ? {} : { where }) }], ...more });
const odd = '"Odd. one"."rows ""x"""';

test('rows that are gone come back into the live database, through a copy that is dropped; triggers, keys and conflicts are as for a schema', async () => {
  const databases = await databasesOf(server);
  const before = await textOf(server, name);
  await sql(
    server,
    name,
    `DELETE FROM ${odd} WHERE n <= 3; DELETE FROM public.accounts WHERE tenant = 'abc'`,
  );
  // The other table's rows point at these: they come first, in one transaction.
  const outcome = await restore(
    setup(),
    request(backup, {
      rows: [
        { table: 'public.accounts', where: `tenant = 'abc'` },
        { table: odd, where: 'account IN (SELECT id FROM public.accounts WHERE tenant = $$abc$$)' },
      ],
    }),
  );
  expect(outcome).toMatchObject({
    target: name,
    compared: '4 tables, 13 rows, 1 sequence, with their contents',
    warnings: [
      'large objects are not brought back with rows: numbers of them in these rows mean what is there now',
    ],
    rows: [
      { table: 'public.accounts', inserted: 3, replaced: 0, skipped: 0 },
      { table: '"Odd. one"."rows ""x"""', inserted: 3, replaced: 0, skipped: 0 },
    ],
  });
  // The live table's own trigger has run, with its schema in the search path.
  expect(await sql(server, name, 'SELECT count(*)::int AS n FROM "Odd. one".noted')).toEqual([{ n: 4 }]);
  await sql(server, name, 'DELETE FROM "Odd. one".noted WHERE n > 0');
  const sorted = (all: string): string[] => all.split('\n').sort();
  expect(sorted(await textOf(server, name))).toEqual(sorted(before));

  await sql(server, name, `UPDATE public.accounts SET body = 'changed' WHERE id = 2`);
  await expect(restore(setup(), rows('public.accounts', 'id < 3'))).rejects.toMatchObject({
    code: 'restore.failed',
  });
  expect(
    (await restore(setup(), rows('public.accounts', 'id < 3', { onConflict: 'skip' }))).rows,
  ).toMatchObject([{ inserted: 0, skipped: 2 }]);
  const context = testContext();
  const prepared = await prepareRestore(
    setup(),
    rows('public.accounts', 'id < 3', { onConflict: 'replace' }),
    context,
  );
  expect(prepared.replaces).toBe(name);
  expect((await prepared.run()).rows).toMatchObject([{ replaced: 2 }]);
  await prepared.close();
  await context.dispose();
  expect(sorted(await textOf(server, name))).toEqual(sorted(before));
  expect(await databasesOf(server)).toEqual(databases);
});

test('what cannot be is refused before a copy is made', async () => {
  const before = await textOf(server, name);
  for (const [wanted, code, message] of [
    [
      rows('accounts', 'true'),
      'usage.invalid',
      /several schemas have a table accounts: .*Odd\. one.*, public/,
    ],
    [rows('public.acounts', 'true'), 'restore.no-match', /the backup has no table public.acounts/],
    [rows('noted', undefined), 'restore.target-not-empty', /table noted of schema .*Odd\. one.* holds rows/],
    [
      rows('public.accounts', 'true', { to: 'x' }),
      'restore.refused',
      /into the live tables, and nowhere else/,
    ],
    [rows('public.accounts', 'true', { replace: true }), 'restore.refused', /nowhere else/],
    [
      rows('public.accounts', 'true); DROP TABLE public.accounts; SELECT (true'),
      'usage.invalid',
      /cannot be chosen by/,
    ],
  ] as const)
    await expect(restore(setup(), wanted)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  const globals = { ...backup, unit: { ...backup.unit, name: '@globals' } };
  await expect(restore(setup(), { ...rows('x', 'true'), backup: globals })).rejects.toThrow(
    /picked by table or row/,
  );
  expect(await textOf(server, name)).toBe(before);
  const absent = { ...backup, unit: database('nowhere') };
  await expect(restore(setup(), { ...rows('public.accounts', 'true'), backup: absent })).rejects.toThrow(
    /no database nowhere to put rows into/,
  );
});
