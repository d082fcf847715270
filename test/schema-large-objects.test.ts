import { execa } from 'execa';
import { writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgsilo, pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { installPostgres } from './services/postgres.ts';
import { startServer, type TestServer } from './services/server.ts';

const versions = [await installPostgres(17), await installPostgres(18)];

function writePipeline(server: TestServer, name: string, largeObjects: string): string {
  const text = `pipeline: ${name}
source:
  use: schema-per-tenant
  connection: \${env:SCHEMAS_URL}
  database: app
  match: ["*"]
  exclude: [public]
  largeObjects: ${largeObjects}
  lockTimeout: 2s
  globals: false
  bin: ${server.bin}
transforms: [{ use: zstd }]
sinks: [{ use: local, path: store-${name} }]
`;
  writeFileSync(join(server.folder, `${name}.yaml`), text);
  return `${name}.yaml`;
}

/** Large objects of `count` consecutive numbers, each with its own content. */
const objects = (first: number, count: number, owner: string): string =>
  `SELECT lo_from_bytea(n, convert_to('of ${owner} ' || n, 'UTF8')) FROM generate_series(${first}, ${first + count - 1}) n;
   DO $$ BEGIN FOR i IN ${first}..${first + count - 1} LOOP EXECUTE format('ALTER LARGE OBJECT %s OWNER TO "${owner}"', i); END LOOP; END $$;`;

const contents =
  "SELECT oid::int8::float8 AS id, convert_from(lo_get(oid), 'UTF8') AS text FROM pg_largeobject_metadata ORDER BY 1";
/** With what is said about each. */
const described = `SELECT oid::int8::float8 AS id, lomowner::regrole::text AS owner, lomacl::text, obj_description(oid, 'pg_largeobject'), md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1`;
const docs = (schema: string): string =>
  `SELECT id, convert_from(lo_get(body), 'UTF8') AS body, convert_from(lo_get(again), 'UTF8') AS again, words FROM ${schema}.docs ORDER BY 1`;

describe.each(versions)('large objects by owner, PostgreSQL $major', { timeout: 120_000 }, (programs) => {
  describe.skipIf('unavailable' in programs)('of tenants with roles of their own', () => {
    let server: TestServer;
    let at: CallOptions;
    beforeAll(async () => {
      server = await startServer('bin' in programs ? { bin: programs.bin } : {});
      at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
      for (const role of ['acme', 'Globex "x"', 'both', 'nobody'])
        await server.query('postgres', `CREATE ROLE "${role.replaceAll('"', '""')}"`);
      await server.query('postgres', 'CREATE DATABASE app');
      for (const [schema, owner] of [
        ['a', 'acme'],
        ['b', 'Globex ""x""'],
        ['c', 'both'],
        ['d', 'both'],
      ] as const)
        // prettier-ignore
        await server.query(
          'app',
          `CREATE SCHEMA ${schema} AUTHORIZATION "${owner}"; CREATE TABLE ${schema}.t AS SELECT 1 AS n`,
        );
      // Batches have a thousand at most, and come in the order of their names as text: acme's do not lie together.
      await server.query('app', objects(20_000, 1100, 'acme'));
      await server.query('app', objects(3_000_000, 3, 'acme'));
      await server.query('app', objects(2_100_000, 5, 'Globex ""x""'));
      await server.query('app', `${objects(50, 2, 'both')} ${objects(60, 1, 'nobody')}`);
      await server.query(
        'app',
        `COMMENT ON LARGE OBJECT 2100001 IS 'a comment'; GRANT SELECT ON LARGE OBJECT 2100002 TO PUBLIC;
         COMMENT ON LARGE OBJECT 20001 IS 'it''s large object 20002'; GRANT SELECT ON LARGE OBJECT 3000000 TO nobody; SELECT lo_put(3000001, 0, repeat('x', 300000)::bytea), lo_truncate(lo_open(3000002, 131072), 0);
         CREATE DOMAIN a.lob AS oid; CREATE TABLE a.docs (id int PRIMARY KEY, body oid UNIQUE, again a.lob, words text);
         INSERT INTO a.docs VALUES (1, 20000, 20001, '20001'), (2, 20001, NULL, 'x'), (3, 3000001, 3000002, '')`,
      );
    });
    afterAll(() => server?.stop());

    it('each is in the archives of one unit, and comes back with its owner, rights and comment', async () => {
      const file = writePipeline(server, 'owner', '{ by: owner }');
      const planned = (await pgsiloOk(['plan', file, '--json'], at)).json();
      expect(planned['warnings']).toEqual([
        'role both owns the schemas of several tenants: its 2 large objects go into @database, because nobody can say whose they are',
      ]);
      expect((await pgsiloOk(['doctor', file], at)).all).toMatch(
        /1,?111 large objects, each a part of the tenant whose schema its owner owns/,
      );
      await pgsiloOk(['backup', file], at);
      const verified = await pgsiloOk(['verify', file, '--level', 'decode'], at);
      expect(verified.all).toMatch(/1,?103 large objects/);
      const expected = await server.query<{ id: number; text: string }>('app', contents);
      const wanted: Record<string, (id: number) => boolean> = {
        a: (id) => (id >= 20_000 && id < 30_000) || id >= 3_000_000,
        b: (id) => id >= 2_100_000 && id < 3_000_000,
        c: () => false,
        '@database': (id) => id < 100,
      };
      for (const [unit, isOf] of Object.entries(wanted)) {
        const database = `back_${unit.replace('@', '')}`;
        await server.query('postgres', `CREATE DATABASE ${database}`);
        await restoreLargeObjects(server, 'store-owner/owner', unit, database);
        expect(await server.query(database, contents)).toEqual(expected.filter(({ id }) => isOf(id)));
      }
      const kept = `SELECT oid::int8::float8 AS id, lomowner::regrole::text AS owner, lomacl::text, obj_description(oid, 'pg_largeobject')
                      FROM pg_largeobject_metadata WHERE oid BETWEEN 2100000 AND 2999999 ORDER BY 1`;
      expect(await server.query('back_b', kept)).toEqual(await server.query('app', kept));
    });

    it('a unit that was chosen has its own, and nobody elses', async () => {
      const file = writePipeline(server, 'chosen', '{ by: owner }');
      await pgsiloOk(['backup', file, '--only', 'b'], at);
      await server.query('postgres', 'CREATE DATABASE chosen_b');
      await restoreLargeObjects(server, 'store-chosen/chosen', 'b', 'chosen_b');
      const found = await server.query<{ text: string }>('chosen_b', contents);
      expect(found).toHaveLength(5);
      expect(found.every(({ text }) => text.startsWith('of Globex'))).toBe(true);
    });

    // Both write the same of large objects: the longer tests are the later one's.
    if (programs !== versions.at(-1)) return;

    it('they come back with a schema: in a new database as they were, beside the live one under numbers of their own', async () => {
      const isOfA = (id: unknown): boolean =>
        (Number(id) >= 20_000 && Number(id) < 30_000) || Number(id) >= 3_000_000;
      const before = await server.query('app', described);
      const wanted = await server.query('app', docs('a'));
      await pgsiloOk(['restore', 'owner.yaml', 'a', '--to', 'new_a', '--to-schema', 'again'], at);
      expect(await server.query('new_a', described)).toEqual(before.filter(({ id }) => isOfA(id)));
      expect(await server.query('new_a', docs('again'))).toEqual(wanted);
      await pgsiloOk(['verify', 'owner.yaml', 'a', '--level', 'restore'], at);

      const beside = await pgsiloOk(['restore', 'owner.yaml', 'a', '--to-schema', 'beside'], at);
      expect(beside.all).toMatch(
        /1,?103 of them under other numbers[\s\S]*CAREFUL: the numbers of 1,?103 large objects were taken[\s\S]*docs\.body, docs\.again/,
      );
      expect(await server.query('app', docs('beside'))).toEqual(wanted);
      const now = await server.query('app', described);
      expect(now).toHaveLength(before.length + 1103);
      expect(now.filter(({ id }) => before.some((one) => one['id'] === id))).toEqual(before);
      const added = now.filter(({ id }) => !before.some((one) => one['id'] === id));
      const about = (rows: typeof now): unknown[] =>
        rows.map(({ id: _, ...rest }) => JSON.stringify(rest)).sort();
      expect(about(added)).toEqual(about(before.filter(({ id }) => isOfA(id))));

      // Whose they are cannot be told any more, so that nothing of them may be replaced.
      const refused = await pgsilo(['restore', 'owner.yaml', 'a', '--replace', '--yes'], at);
      expect([refused.exit, refused.stderr]).toEqual([
        2,
        expect.stringMatching(
          /role acme owns schema a and others \(beside\): which of its 2,?206 large objects/,
        ),
      ]);
      await server.query('app', 'DROP SCHEMA beside CASCADE');
      await server.query('app', 'SELECT count(lo_unlink(n)) FROM unnest($1::oid[]) n', [
        added.map(({ id }) => id),
      ]);
    });

    it('in place of the live ones, which are kept; those of others stay, also where they have a number of the backup', async () => {
      const before = await server.query('app', described);
      const wanted = await server.query('app', docs('a'));
      await server.query(
        'app',
        `SELECT lo_put(20000, 0, 'changed'), lo_unlink(20001), lo_put(3000000, 2000000, 'the end')`,
      );
      await server.query('app', `${objects(20_001, 1, 'Globex ""x""')} ${objects(77, 1, 'acme')}`);
      await server.query('app', `INSERT INTO a.docs VALUES (4, 77, NULL, 'new')`);
      const live = await server.query('app', described);
      // Who is in the way keeps all of it from happening.
      const client = await server.session('app');
      await client.query('BEGIN; LOCK TABLE a.docs IN ROW EXCLUSIVE MODE');
      const blocked = await pgsilo(
        ['restore', 'owner.yaml', 'a', '--replace', '--yes', '--no-safety-backup'],
        at,
      );
      await client.query('ROLLBACK');
      await client.end();
      expect([blocked.exit, blocked.stderr]).toEqual([1, expect.stringContaining('Nothing was changed')]);
      expect(await server.query('app', described)).toEqual(live);

      const done = await pgsiloOk(['restore', 'owner.yaml', 'a', '--replace', '--yes'], at);
      expect(done.all).toMatch(/1,?103 large objects of role acme make way/);
      expect(done.all).toMatch(
        /the numbers of 1 large object were taken, and they have others: 20001 is (\d+)/,
      );
      const number = Number(/20001 is (\d+)/.exec(done.all)![1]);
      const now = await server.query('app', described);
      const byNumber = (rows: typeof now): Map<unknown, unknown> =>
        new Map(rows.map(({ id, ...rest }) => [id, rest]));
      const expected = byNumber(before);
      expected.set(number, expected.get(20_001));
      expected.set(20_001, byNumber(live).get(20_001));
      expect(byNumber(now)).toEqual(new Map([...expected].sort(([x], [y]) => Number(x) - Number(y))));
      expect(await server.query('app', docs('a'))).toEqual(wanted);
      expect(await server.query('app', 'SELECT body::int8::float8 AS body, again::int8::float8 AS again FROM a.docs WHERE id < 3 ORDER BY id')).toEqual([{ body: 20_000, again: number }, { body: number, again: null }]); // prettier-ignore
      const kept = `${/kept as (a_before_\w+)/.exec(done.all)![1]}.pgsilo_large_objects`;
      const inKept = await server.query(
        'app',
        `SELECT id::int8::float8 AS id, owner::text, rights AS lomacl, comment AS obj_description, md5(string_agg(data, '' ORDER BY at)) AS md5 FROM ${kept} GROUP BY 1, 2, 3, 4 ORDER BY 1`,
      );
      expect(inKept).toEqual(live.filter(({ owner }) => owner === 'acme'));

      // The kept schema is of the same role, and the next backup gives its large objects to the tenant all the same; a dropped schema's are there still, and make way too.
      await pgsiloOk(['backup', 'owner.yaml', '--only', 'a'], at);
      await server.query('app', 'DROP SCHEMA a CASCADE');
      await server.query('app', `SELECT lo_put(20000, 0, 'changed')`);
      const again = await pgsiloOk(['restore', 'owner.yaml', 'a', '--replace', '--drop-old', '--yes'], at);
      expect(again.all).not.toContain('CAREFUL');
      expect(await server.query('app', described)).toEqual(now);
      expect(await server.query('app', docs('a'))).toEqual(wanted);
    });

    it('all of them come back with everything, also where a call was killed before their schema was there', async () => {
      const file = writePipeline(server, 'together', '{ by: owner }');
      await pgsiloOk(['backup', file], at);
      const before = await server.query('app', described);
      const words = await server.query('app', docs('a'));
      await server.query('postgres', 'ALTER DATABASE app RENAME TO lost');
      const everything = ['restore', file, '--all', '--to-server', 'env:SCHEMAS_URL'];
      await pgsiloOk(everything, at);
      expect(await server.query('app', described)).toEqual(before);
      await server.query('app', 'DROP SCHEMA a CASCADE');
      await pgsiloOk(everything, at);
      expect(await server.query('app', described)).toEqual(before);
      expect(await server.query('app', docs('a'))).toEqual(words);
    });
  });
});

describe('large objects by owner, a pg_dump that does not tell them apart', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer();
    await server.query('postgres', 'CREATE DATABASE app');
    await server.query('app', `CREATE SCHEMA a; CREATE TABLE a.t AS SELECT 1 AS n`);
  });
  afterAll(() => server?.stop());

  it('is refused with the reason, as soon as there are any', async () => {
    const version = Number((await server.query('app', 'SHOW server_version_num'))[0]!['server_version_num']);
    if (version >= 170_000) return;
    const at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
    const file = writePipeline(server, 'old', '{ by: owner }');
    await pgsiloOk(['backup', file], at);
    await server.query('app', `SELECT lo_from_bytea(77, 'x')`);
    const { exit, all } = await pgsilo(['backup', file], at);
    expect(exit).toBe(3);
    expect(all).toMatch(
      /holds 1 large object, and pg_dump 1\d\.\d+ writes the contents of all of them as one block[\s\S]*version 17 or later/,
    );
    expect((await pgsilo(['doctor', file], at)).all).toMatch(/large objects.*as one block/);
  });
});

/** As a person would by hand: the schema alone, then what is beside it. */
async function restoreLargeObjects(
  server: TestServer,
  store: string,
  unit: string,
  database: string,
): Promise<void> {
  const root = join(server.folder, store, 'units');
  const names = (await readdir(root, { recursive: true })).filter((name) => {
    const [folder] = name.split('/');
    return folder === unit.replace('@', '_') && name.endsWith('.dump.zst') && !name.includes('/rows-');
  });
  for (const [index, name] of names
    .sort((x, y) => Number(x.includes('large')) - Number(y.includes('large')))
    .entries()) {
    const path = join(server.folder, `${database}-${index}.dump`);
    await execa('zstd', ['-dqf', join(root, name), '-o', path]);
    await execa(`${server.bin}/pg_restore`, [`--dbname=${server.urlOf(database)}`, '--exit-on-error', path]);
  }
}
