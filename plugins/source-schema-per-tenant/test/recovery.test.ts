import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BackupView, FinishedUnit, Recovery } from '@pgsilo/plugin';
import { testContext } from '@pgsilo/testkit';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { compareSchema } from '../src/compare.ts';
import { recoverAll } from '../src/recovery/recovery.ts';
import type { SourceSetup } from '../src/setup.ts';
import { backupIn, request, type TestBackup } from './backups.ts';
import { backUpAll, setupOf, sql } from './fixture.ts';

const context = testContext();
/** Of one database: everything is restored into another one of the same server. */
const copy = 'copy of "all"';

describe('all schemas together', () => {
  let server: ThrowawayPostgres;
  let databases = 0;
  const folders: string[] = [];
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterEach(async () => {
    await sql(server.url, `DROP DATABASE IF EXISTS "copy of ""all""" WITH (FORCE)`);
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
  });
  afterAll(() => server?.stop());

  /** A new database in which these statements were run. */
  async function database(...statements: string[]): Promise<string> {
    databases += 1;
    await sql(server.url, `CREATE DATABASE db${databases}`);
    const url = server.urlOf(`db${databases}`);
    await sql(url, ...statements);
    return url;
  }

  /** What a run made, by unit. */
  async function backups(setup: SourceSetup): Promise<Map<string, TestBackup>> {
    const { artifacts, facts } = await backUpAll(setup);
    const made = new Map<string, TestBackup>();
    for (const [unit, files] of artifacts) {
      const folder = await mkdtemp(join(tmpdir(), 'pgsilo-backup-'));
      folders.push(folder);
      for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
      made.set(unit, await backupIn(folder, unit, [...files.keys()], facts.get(unit)!));
    }
    return made;
  }

  const recoveryOf = (setup: SourceSetup): Recovery => recoverAll(setup, server.url, context);
  const asked = (backup: BackupView): ReturnType<typeof request> =>
    request(backup, { to: copy, toServer: server.url });

  /** Restores these as the engine does, one after another. @returns what failed, and what each lacks in the end */
  async function recover(
    setup: SourceSetup,
    given: Iterable<BackupView>,
  ): Promise<{ failed: Map<string, Error>; lacks: Map<string, FinishedUnit['lacks']> }> {
    const views = [...given];
    const joined = recoveryOf(setup).joined!;
    const [failed, done] = [new Map<string, Error>(), new Set<BackupView>()];
    for (const view of joined.stages(views).flat()) {
      if (done.has(view)) continue;
      try {
        const restoration = await joined.restore(asked(view), context);
        await restoration.run().finally(() => restoration.close());
        done.add(view);
        failed.delete(view.unit.name);
      } catch (error) {
        failed.set(view.unit.name, error as Error);
      }
    }
    const byName = new Map(views.map((view) => [view.unit.name, view]));
    const lacks = new Map<string, readonly string[]>();
    for (const last of [false, false, true])
      for (const { unit } of await joined.unfinished(copy, context))
        lacks.set(unit, (await joined.finish(asked(byName.get(unit)!), last, context)).lacks);
    return { failed, lacks };
  }

  const inCopy = (text: string): Promise<Record<string, unknown>[]> => sql(server.urlOf(copy), text);

  it.each(['one-pass', 'per-schema'])(
    'come back where each needs the other for its tables, read in %s',
    async (strategy) => {
      const url = await database(
        'CREATE SCHEMA a; CREATE SCHEMA "b ""c"; CREATE SCHEMA "D"',
        'CREATE TYPE "b ""c".size AS ENUM (\'s\', \'l\'); CREATE TABLE a.t (id int PRIMARY KEY, size "b ""c".size)',
        'CREATE TABLE "b ""c".u (id int PRIMARY KEY REFERENCES a.t, n int); CREATE VIEW "D".both AS SELECT id, size, n FROM a.t JOIN "b ""c".u USING (id)',
        `INSERT INTO a.t VALUES (1, 's'), (2, 'l'); INSERT INTO "b ""c".u VALUES (2, 5)`,
        `CREATE CAST ("b ""c".size AS int) WITH INOUT; COMMENT ON SCHEMA "D" IS 'it''s mine'`,
      );
      const setup = setupOf(url, { match: '*', exclude: 'public', strategy });
      const all = await backups(setup);
      const stages = recoveryOf(setup).joined!.stages([...all.values()]);
      const names = stages.map((stage) => stage.map(({ unit }) => unit.name));
      expect(names[0]).toEqual(['@database']);
      // One of the circle after another, and behind it who needs both.
      expect(names.slice(1, 3).map((stage) => stage.length)).toEqual([1, 1]);
      expect(names.slice(1, 3).flat().toSorted()).toEqual(['a', 'b "c']);
      expect(names.slice(3)).toEqual([['D']]);
      const { failed, lacks } = await recover(setup, all.values());
      expect([...failed]).toEqual([]);
      expect([...lacks.values()].flat()).toEqual([]);
      const rows = await inCopy(
        `SELECT id, size::text AS size, n, (SELECT count(*)::int4 FROM pg_cast WHERE castsource = '"b ""c".size'::regtype) AS casts FROM "D".both`,
      );
      expect(rows).toEqual([{ id: 2, size: 'l', n: 5, casts: 1 }]);
    },
  );

  it('name a foreign key whose rows do not fit any more, and make it when they do', async () => {
    const url = await database(
      'CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE b.t (id int PRIMARY KEY); INSERT INTO b.t VALUES (1), (2)',
      'CREATE TABLE a.u (id int CONSTRAINT there REFERENCES b.t); INSERT INTO a.u VALUES (2)',
      `COMMENT ON SCHEMA a IS 'of a'`,
    );
    const setup = setupOf(url, { schemas: ['a', 'b'] });
    const older = await backups(setup);
    await sql(url, 'DELETE FROM a.u; DELETE FROM b.t WHERE id = 2');
    const newer = await backups(setup);
    const mixed = [newer.get('@database')!, older.get('a')!, newer.get('b')!];
    const first = await recover(setup, mixed);
    expect([...first.failed]).toEqual([]);
    expect(first.lacks.get('a')).toEqual([
      expect.stringMatching(
        /^FK CONSTRAINT a\."u there": insert or update on table "u" violates foreign key/,
      ),
    ]);
    const comment = `SELECT obj_description('a'::regnamespace) AS says`;
    expect(await inCopy(comment)).toEqual([
      { says: expect.stringContaining('this restore is not finished') },
    ]);
    await inCopy('INSERT INTO b.t VALUES (2)');
    const joined = recoveryOf(setup).joined!;
    expect(await joined.unfinished(copy, context)).toEqual([{ unit: 'a', backup: older.get('a')!.id }]);
    expect(await joined.finish(asked(older.get('a')!), true, context)).toEqual({ lacks: [], warnings: [] });
    expect(await inCopy(comment)).toEqual([{ says: 'of a' }]);
    expect(await joined.unfinished(copy, context)).toEqual([]);
    expect(await inCopy(`SELECT convalidated FROM pg_constraint WHERE conname = 'there'`)).toEqual([
      { convalidated: true },
    ]);
  });

  it('come without a table that needs what is not there, which is named; it comes with its rows when that is', async () => {
    const url = await database(
      "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TYPE b.size AS ENUM ('s'); CREATE TABLE a.t (id serial, size b.size); CREATE TABLE a.plain AS SELECT 7 AS n",
      `INSERT INTO a.t (size) VALUES ('s'), ('s'); COMMENT ON SCHEMA a IS 'of a'`,
    );
    const setup = setupOf(url, { schemas: ['a', 'b'] });
    const all = await backups(setup);
    const { failed, lacks } = await recover(setup, [all.get('@database')!, all.get('a')!]);
    expect([...failed]).toEqual([]);
    const why = 'schema "b" does not exist';
    expect(lacks.get('a')).toEqual(expect.arrayContaining([`TABLE a.t: ${why}`]));
    expect(await inCopy('SELECT n FROM a.plain')).toEqual([{ n: 7 }]);
    // What is there so far is compared as such, not taken for changed.
    const target = { name: copy };
    expect((await compareSchema(setup, target, all.get('a')!, context)).differences).toEqual([]);
    const done = await recover(setup, [all.get('b')!, all.get('a')!]);
    expect([...done.failed.keys()]).toEqual(['a']);
    expect(await inCopy('SELECT id, size::text AS size FROM a.t ORDER BY id')).toEqual([
      { id: 1, size: 's' },
      { id: 2, size: 's' },
    ]);
    expect(
      await inCopy(`SELECT nextval('a.t_id_seq')::int AS next, obj_description('a'::regnamespace) AS says`),
    ).toEqual([{ next: 3, says: 'of a' }]);
    expect((await compareSchema(setup, target, all.get('a')!, context)).differences).toEqual([
      expect.stringContaining('t_id_seq'),
    ]);
  });

  it('do not go into a database that is made otherwise', async () => {
    const url = await database(
      'CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (n int); CREATE TABLE b.u (n int)',
    );
    const setup = setupOf(url, { schemas: ['a', 'b'] });
    const all = await backups(setup);
    await sql(
      server.url,
      `CREATE DATABASE "copy of ""all""" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`,
    );
    const again = await recover(setup, all.values());
    expect([...again.failed.keys()]).toEqual(['@database', 'a', 'b']);
    expect(again.failed.get('b')?.message).toMatch(
      /^database .* has encoding LATIN1 and locale C, and the backup is of one with encoding UTF8/,
    );
  });

  it('tell what is there already from what somebody made in its place', async () => {
    const url = await database(
      'CREATE EXTENSION citext; CREATE SCHEMA kept; CREATE SCHEMA a; CREATE TABLE a.t (n int); CREATE TABLE public.p (n citext); INSERT INTO public.p VALUES (1)',
    );
    const setup = setupOf(url, { schemas: ['a'], shared: ['public'], uncovered: 'ignore' });
    const all = await backups(setup);
    await sql(server.url, `CREATE DATABASE "copy of ""all"""`);
    const target = { server: server.url, name: copy };
    const compare = async (unit: string): Promise<readonly string[]> =>
      (await compareSchema(setup, target, all.get(unit)!, context)).differences;
    expect((await compare('@database')).toSorted()).toEqual([
      'extension citext: not there',
      'schema kept: not there',
    ]);
    await sql(server.url, `DROP DATABASE "copy of ""all"""`);
    expect([...(await recover(setup, all.values())).failed]).toEqual([]);
    expect(await inCopy('SELECT n FROM public.p')).toEqual([{ n: '1' }]);
    for (const [name, view] of all) {
      expect([name, await compare(name)]).toEqual([name, []]);
      await expect(recoveryOf(setup).joined!.restore(asked(view), context)).rejects.toMatchObject({
        code: 'restore.target-exists',
      });
    }
  });

  it('are those of the newest run where the rule goes by what exists', async () => {
    const setup = setupOf(server.url, { match: ['t_*'], exclude: 't_old', shared: ['t_shared'] });
    const known = async (): Promise<string[]> => ['@database', 't_1', 't_old', 't_shared', 'u', 't_2'];
    const recovery = recoveryOf(setup);
    expect(recovery.first.map(({ unit }) => unit)).toEqual(['@database', 't_shared']);
    expect(await recovery.others(known)).toEqual(['t_1', 't_2'].map((unit) => ({ unit, to: 'postgres' })));
  });
});
