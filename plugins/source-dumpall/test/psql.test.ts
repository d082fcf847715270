import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { findPsql, runPsql } from '../src/psql.ts';
import { backUp, databasesOf, removeBackups, restore, setupOf, sql, type TestBackup } from './cluster.ts';
import { fillHostile, trap } from './hostile-server.ts';

let server: ThrowawayPostgres;
let backup: TestBackup;
beforeAll(async () => {
  server = await startPostgres();
  await fillHostile(server);
  backup = await backUp(server);
});
afterAll(async () => {
  await removeBackups();
  await server.stop();
});
afterEach(() => {
  if (existsSync(trap)) throw new Error('a command of psql that stood in data was run');
});

const code = (name: string): unknown => expect.objectContaining({ code: name });

describe('commands of psql', () => {
  test.each([
    [
      'between statements',
      (text: string) =>
        text.replace('CREATE TABLE public.empty', `\\! touch ${trap}\nCREATE TABLE public.empty`),
    ],
    ['behind the rows', (text: string) => text.replace('\n\\.\n', `\n\\.\n\\! touch ${trap}\n`)],
    [
      'to connect to another database of the backup',
      (text: string) =>
        text.replace('CREATE TABLE public.empty', `\\connect evil\nCREATE TABLE public.empty`),
    ],
  ])('in the dump itself, %s, are refused before anything is made', async (_where, change) => {
    const text = (await readFile(backup.file)).toString('latin1');
    const tampered = await backup.with(Buffer.from(change(text), 'latin1'));
    const before = await databasesOf(server);
    await expect(restore(server, tampered, { database: 'nostromo' })).rejects.toThrow(
      code('source.archive-invalid'),
    );
    expect(await databasesOf(server)).toEqual(before);
  });

  test('are refused by psql too, should the reader ever be deceived', async () => {
    const context = testContext();
    const setup = setupOf(server);
    const tool = await findPsql(setup, server.major, context.signal);
    const job = {
      setup,
      tool,
      server: setup.settings,
      elsewhere: false,
      database: 'evil',
      applicationName: 'test',
    };
    for (const line of [
      `\\! touch ${trap}`,
      `\\unrestrict x\n\\! touch ${trap}`,
      '\\connect nostromo',
      `\\copy (SELECT 1) TO '${trap}'`,
    ]) {
      const wanted = runPsql(
        job,
        (async function* () {
          yield Buffer.from(`${line}\nCREATE TABLE reached ();\n`);
        })(),
        context,
      );
      await expect(wanted).rejects.toThrow(/restrict/);
    }
    expect(await sql(server, 'evil', `SELECT FROM pg_tables WHERE tablename = 'reached'`)).toEqual([]);
    await context.dispose();
  });

  test('cannot be forbidden to an old psql, which is refused by its number', async () => {
    const bin = await mkdtemp(join(tmpdir(), 'pgsilo-old-psql-'));
    const find = async (version: string): Promise<string> => {
      const folder = join(bin, version);
      await mkdir(folder);
      await writeFile(join(folder, 'psql'), `#!/bin/sh\necho "psql (PostgreSQL) ${version}"\n`);
      await chmod(join(folder, 'psql'), 0o755);
      const setup = setupOf(server, { bin: folder });
      return (await findPsql(setup, Number.parseInt(version, 10), AbortSignal.timeout(60_000))).version;
    };
    for (const old of ['12.22', '13.21', '14.18', '15.13', '16.9', '17.5'])
      await expect(find(old)).rejects.toMatchObject({
        code: 'source.tool-version',
        hint: expect.stringContaining('13.22, 14.19, 15.14, 16.10, 17.6 and 18'),
      });
    for (const safe of ['13.22', '14.19', '15.14', '16.10', '17.6', '18.0', '19.1'])
      expect(await find(safe)).toBe(safe);
    await rm(bin, { recursive: true });
  });
});
