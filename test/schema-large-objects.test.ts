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

const contents = 'SELECT loid::int8::float8 AS id, convert_from(data, \'UTF8\') AS text FROM pg_largeobject ORDER BY 1'; // prettier-ignore

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
        `COMMENT ON LARGE OBJECT 2100001 IS 'a comment'; GRANT SELECT ON LARGE OBJECT 2100002 TO PUBLIC`,
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

    it('a restore says that they are to be brought back by hand, and makes nothing', async () => {
      const before = await server.databases();
      const refused = await pgsilo(['restore', 'owner.yaml', 'a', '--to', 'copy'], at);
      expect([refused.exit, refused.stderr]).toEqual([
        2,
        expect.stringMatching(/has large objects, .* yet[\s\S]*large-objects-/),
      ]);
      await pgsiloOk(['restore', 'owner.yaml', 'c', '--to', 'copy_of_c'], at);
      expect(await server.databases()).toEqual([...before, 'copy_of_c'].sort());
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
