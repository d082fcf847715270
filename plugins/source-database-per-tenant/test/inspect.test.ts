import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findTool } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { compareDatabase } from '../src/compare.ts';
import { inspectBackup } from '../src/inspect.ts';
import { backUp, database, setupFor, type TestBackup } from './backups.ts';

let server: SharedPostgres;
let original: FreshDatabase;
let backup: TestBackup;

beforeAll(async () => {
  server = await sharedPostgres();
  original = await server.freshDatabase('inspect', 'TEMPLATE template0');
  await original.query(
    "CREATE TABLE a (id serial, v text); INSERT INTO a (v) SELECT 'row' FROM generate_series(1, 50); CREATE TABLE b (); SELECT lo_create(5)",
  );
  backup = await backUp(server.url, database(original.name));
});

afterAll(async () => {
  await backup?.remove();
  await original?.drop();
});

async function problemWith(artifact: string, content: Uint8Array | string): Promise<string> {
  const changed = await backup.with(artifact, content);
  try {
    const error: unknown = await inspectBackup(changed, testContext()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'source.archive-invalid' });
    return (error as Error).message;
  } finally {
    await changed.remove();
  }
}

const json = (name: string): any => JSON.parse(readFileSync(backup.path(name), 'utf8'));

test('a good backup is read to its end', async () => {
  expect((await inspectBackup(backup, testContext())).summary).toBe(
    '2 tables, 50 rows, 1 sequence, 1 large object',
  );
});

test('what fingerprint and archive say differently is found', async () => {
  const fingerprint = json('fingerprint.json');
  const changed = (change: (copy: any) => void): string => {
    const copy = structuredClone(fingerprint);
    change(copy);
    return JSON.stringify(copy);
  };
  const at = (copy: any, name: string): any => copy.tables.find((table: any) => table.name === name);
  expect(
    await problemWith(
      'fingerprint.json',
      changed((copy) => (at(copy, 'a').rows = 51)),
    ),
  ).toContain('table public.a has 50 rows in the archive and 51');
  expect(
    await problemWith(
      'fingerprint.json',
      changed((copy) => copy.tables.pop()),
    ),
  ).toContain('not in the fingerprint');
  expect(
    await problemWith(
      'fingerprint.json',
      changed((copy) => copy.tables.push({ schema: 's', name: 'more', rows: 0 })),
    ),
  ).toContain('s.more is not in the archive');
  expect(
    await problemWith(
      'fingerprint.json',
      changed((copy) => (copy.sequences[0].isCalled = false)),
    ),
  ).toContain('a_id_seq');
  expect(
    await problemWith(
      'fingerprint.json',
      changed((copy) => (copy.largeObjects = 0)),
    ),
  ).toContain('1 large object in the archive and 0');
  expect(
    await problemWith(
      'fingerprint.json',
      changed((copy) => (copy.format = 2)),
    ),
  ).toContain('not understood');
  expect(await problemWith('settings.json', '{}')).toContain('settings.json');
  expect(await problemWith('settings.json', '{')).toContain('no JSON');
  const archive = readFileSync(backup.path('database.dump'));
  expect(await problemWith('database.dump', archive.subarray(0, -1))).toContain('cut');
  expect(await problemWith('database.dump', Buffer.concat([archive, Buffer.from('x')]))).toContain(
    'byte 120',
  );
});

test('archives whose rows cannot be counted are refused by name', async () => {
  const tool = await findTool('pg_dump', server.major, {});
  const dump = (...args: string[]): Buffer =>
    execFileSync(tool.command, ['-Fc', ...args, '--dbname', original.url], { maxBuffer: 1e9 });
  expect(await problemWith('database.dump', dump('-Z6'))).toContain('compressed with gzip');
  expect(await problemWith('database.dump', dump('-Z0', '--inserts'))).toContain('INSERT statements');
});

test('a database that is there is compared with a backup', async () => {
  const setup = setupFor(server.url);
  expect(await compareDatabase(setup, { name: original.name }, backup, testContext())).toEqual({
    compared: '2 tables, 50 rows, 1 sequence, 1 large object',
    differences: [],
  });
  await original.query('DELETE FROM a WHERE id > 40');
  expect(
    (await compareDatabase(setup, { name: original.name, server: server.url }, backup, testContext()))
      .differences,
  ).toEqual(['table public.a: 40 rows, the backup has 50']);
  await expect(
    compareDatabase(setup, { name: 'no such database' }, backup, testContext()),
  ).rejects.toMatchObject({ code: 'source.unit-missing' });
});
