import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { quoteIdentifier } from '@pgsilo/postgres';
import { testContext } from '@pgsilo/testkit';
import { sharedPostgres, type FreshDatabase, type SharedPostgres } from '@pgsilo/testkit/postgres';
import { inspectBackup } from '../src/inspect.ts';
import { proof } from '../src/proof.ts';
import { backupIn, request, restore, type TestBackup } from './backups.ts';
import { backUpAll, plan, read, setupOf, sql, type ReadResult } from './fixture.ts';

vi.setConfig({ testTimeout: 120_000 });

// A pg_dump to come cannot be had. These are the real programs, but for the version in the archive's header: 1.17, which the real pg_restore refuses as much as pgsilo does.
let server: SharedPostgres;
let database: FreshDatabase;
let folder: string;
let bin: string;
let result: ReadResult;
const made: (() => unknown)[] = [];

beforeAll(async () => {
  server = await sharedPostgres();
  database = await server.freshDatabase('unread');
  folder = mkdtempSync(join(tmpdir(), 'pgsilo-unread-'));
  bin = programs('whole', 'cat');
  for (const statement of [
    `CREATE SCHEMA "Odd. one"; CREATE TABLE "Odd. one".t (id serial PRIMARY KEY, text text); INSERT INTO "Odd. one".t (text) SELECT 'secret ' || n FROM generate_series(1, 500) n`,
    `CREATE SCHEMA other; CREATE TABLE other.t AS SELECT n, 'of the other' AS text FROM generate_series(1, 20) n; CREATE VIEW other.v AS SELECT n FROM other.t`,
    `CREATE SCHEMA nobodys; CREATE TABLE nobodys.t AS SELECT 1 AS n`,
  ])
    await database.query(statement);
  result = await backUpAll(setup({ strategy: 'per-schema', fingerprint: 'content' }));
});
afterAll(async () => {
  for (const each of made) await each();
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** @param end what becomes of the archive's last bytes */
function programs(name: string, end: string): string {
  const at = mkdtempSync(join(folder, `${name}-`));
  // The minor version of the format that this version of PostgreSQL writes.
  const minor = String(Math.min(16, Math.max(14, server.major - 1)).toString(8)).padStart(3, '0');
  const stand = (program: string, script: string): void => {
    writeFileSync(
      join(at, program),
      `#!/bin/bash\nset -o pipefail\nREAL='${server.bin}/${program}'\n[ "$1" = --version ] && exec "$REAL" --version\n${script}\n`,
    );
    chmodSync(join(at, program), 0o755);
  };
  const header = (byte: string): string => `{ head -c 6; head -c 1 > /dev/null; printf '\\${byte}'; cat; }`;
  stand('pg_dump', `"$REAL" "$@" | ${header('021')} | ${end}`);
  stand(
    'pg_restore',
    `last="\${@: -1}"\nif [ -f "$last" ]; then ${header(minor)} < "$last" > "$last.known" && "$REAL" "\${@:1:$#-1}" "$last.known"\nelse ${header(minor)} | "$REAL" "$@"; fi`,
  );
  return at;
}
const setup = (more: object = {}): ReturnType<typeof setupOf> =>
  setupOf(database.url, {
    schemas: ['Odd. one', 'other'],
    uncovered: 'ignore',
    lockTimeout: '2s',
    bin,
    ...more,
  });

async function backupOf(unit: string): Promise<TestBackup> {
  const at = await mkdtemp(join(folder, 'backup-'));
  const files = result.artifacts.get(unit)!;
  for (const [name, bytes] of files) writeFileSync(join(at, name), bytes);
  return backupIn(at, unit, [...files.keys()], result.facts.get(unit)!);
}

test('one pass is refused by name, whether it was chosen or not, and says what serves', async () => {
  for (const strategy of ['one-pass', 'auto']) {
    const chosen = setup({ strategy });
    const { jobs } = await plan(chosen);
    await expect(read(chosen, jobs[0]!)).rejects.toMatchObject({
      code: 'source.tool-version',
      message: expect.stringMatching(
        /writes archives of format version 1\.17, and pgsilo splits those of 1\.12 to 1\.16/,
      ),
      hint: expect.stringContaining('strategy: per-schema'),
    });
  }
});

test('per-schema stores each archive as it came, with what the server counted at the same moment', () => {
  expect([...result.artifacts].map(([unit, files]) => [unit, [...files.keys()].sort()])).toEqual([
    ['Odd. one', ['fingerprint.json', 'schema.dump']],
    ['other', ['fingerprint.json', 'schema.dump']],
    ['@database', ['database.dump', 'fingerprint.json', 'settings.json']],
  ]);
  for (const [unit, files] of result.artifacts) {
    const archive = files.get('schema.dump') ?? files.get('database.dump')!;
    expect([unit, archive[6]]).toEqual([unit, 17]);
    expect(result.facts.get(unit)!.about).toMatchObject({ archiveVersion: '1.17' });
    // Each has its own rows and nobody else's.
    expect([unit, archive.includes('secret 1'), archive.includes('of the other')]).toEqual([
      unit,
      unit === 'Odd. one',
      unit === 'other',
    ]);
  }
  expect(result.facts.get('Odd. one')!.about).toMatchObject({ tables: 1, rows: 500 });
});

test('an archive that lost its end, while the program says that all is well, is no backup', async () => {
  const cut = setup({ strategy: 'per-schema', bin: programs('cut', 'head -c -200') });
  const { jobs } = await plan(cut);
  await expect(read(cut, jobs[0]!)).rejects.toMatchObject({
    code: 'source.archive-invalid',
    message: expect.stringContaining('pg_restore'),
  });
});

test('it is restored whole, compared, and whatever wants to look into it is refused by name', async () => {
  const backup = await backupOf('Odd. one');
  const to = `${database.name}_whole`;
  made.push(() => sql(server.url, `DROP DATABASE IF EXISTS ${quoteIdentifier(to)}`));
  const url = database.url.replace(`/${database.name}`, `/${to}`);
  const text = (at: string): string =>
    execFileSync(`${server.bin}/pg_dump`, ['--restrict-key=x', '--dbname', at, '--schema="Odd. one"'], {
      encoding: 'utf8',
    });
  const outcome = await restore(setup(), request(backup, { to }));
  expect(outcome.compared).toBe('1 table, 500 rows, 0 sequences, with their contents');
  expect(text(url)).toBe(text(database.url));
  await sql(server.url, `DROP DATABASE ${quoteIdentifier(to)}`);
  const fingerprint = String(result.artifacts.get('Odd. one')!.get('fingerprint.json'));
  const wrong = await backup.with('fingerprint.json', fingerprint.replace('"rows": 500', '"rows": 501'));
  made.push(() => wrong.remove());
  await expect(restore(setup(), request(wrong, { to }))).rejects.toMatchObject({ code: 'restore.mismatch' });
  for (const more of [
    { replace: true },
    { toSchema: 'x' },
    { into: database.name },
    { tables: ['t'] },
    { rows: [{ table: 't', where: 'true' }] },
  ])
    await expect(restore(setup(), request(backup, more))).rejects.toMatchObject({
      code: 'restore.refused',
      message: expect.stringMatching(/can only be restored whole: its archive is of format version 1\.17/),
    });
  await expect(restore(setup(), request(await backupOf('@database'), { to }))).rejects.toMatchObject({
    code: 'restore.refused',
  });
  expect(proof.unfit!(backup)).toMatch(/format version 1\.17/);
});

test('verify has pg_restore read it to its end', async () => {
  const context = testContext();
  const backup = await backupOf('other');
  expect((await inspectBackup(setup(), backup, context)).summary).toMatch(
    /^read to the end by pg_restore .*; to be compared once it is restored: 1 table, 20 rows/,
  );
  const cut = await backup.with(
    'schema.dump',
    result.artifacts.get('other')!.get('schema.dump')!.subarray(0, -30),
  );
  made.push(() => cut.remove());
  await expect(inspectBackup(setup(), cut, context)).rejects.toMatchObject({
    code: 'source.archive-invalid',
  });
  await context.dispose();
});
