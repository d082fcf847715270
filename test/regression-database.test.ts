import { execa } from 'execa';
import { writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import {
  fillRegression,
  keyOf,
  readPart,
  rebuild,
  regression,
  withoutOrder,
  type Part,
} from './services/regression-database.ts';
import { schemaTextOf } from './services/schema-text.ts';
import { startServer, type TestServer } from './services/server.ts';

/**
 * PostgreSQL's own regression tests fill a database, which is split, and comes back. To be run by hand, with the source of the system's version:
 * `PGSILO_REGRESS_SOURCE` is the unpacked source, `PGSILO_REGRESS_LIBRARIES` a folder with `regress.so`, `refint.so` and `autoinc.so`.
 * The source comes with `apt-get source postgresql-15`; in its `src/test/regress`, with the headers of postgresql-server-dev-15:
 * `gcc -fPIC -shared -I"$(pg_config --includedir-server)" -I. regress.c -o regress.so`. The other two are in `pg_config --pkglibdir`, of contrib.
 * With 15.18 all 217 tests passed and nothing had to be skipped; mvtest_mvschema, testxmlschema and public need each other, and come back together.
 */
const source = process.env['PGSILO_REGRESS_SOURCE'];
const libraries = process.env['PGSILO_REGRESS_LIBRARIES'];

const pipeline = `pipeline: regression
source:
  use: schema-per-tenant
  connection: \${env:SCHEMAS_URL}
  database: ${regression}
  match: ["*"]
  largeObjects: database
  strategy: one-pass
  fingerprint: content
transforms: []
sinks: [{ use: local, path: store }]
`;

/** Of the whole database: each archive has these for itself. */
const saysHowToRead = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);

// Each stands on those before it.
describe.skipIf(!source || !libraries)("PostgreSQL's regression database", { timeout: 1_800_000 }, () => {
  let server: TestServer;
  let at: CallOptions;
  let whole: Part;
  let parts: Part[];
  beforeAll(async () => {
    server = await startServer({ settings: { max_locks_per_transaction: 256 } });
    at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
    const failed = await fillRegression(server, source!, libraries!);
    process.stderr.write(`regression tests that failed: ${failed.join(' ') || 'none'}\n`);
    writeFileSync(join(server.folder, 'regression.yaml'), pipeline);
    await pgsiloOk(['backup', 'regression.yaml'], at);
    const path = join(server.folder, 'whole.dump');
    await execa(`${server.bin}/pg_dump`, ['-Fc', '-Z0', '-f', path, `--dbname=${server.urlOf(regression)}`]);
    whole = await readPart(path);
    const names = (await readdir(join(server.folder, 'store'), { recursive: true })).filter((name) =>
      name.endsWith('.dump'),
    );
    parts = await Promise.all(names.map((name) => readPart(join(server.folder, 'store', name))));
  }, 1_800_000);
  afterAll(async () => server?.stop());

  it('is split so that each entry is in one archive, as it was in the whole', () => {
    const split = parts.flatMap(({ entries }) => entries).filter(({ desc }) => !saysHowToRead.has(desc));
    const inWhole = whole.entries.filter(({ desc }) => !saysHowToRead.has(desc));
    expect(inWhole.length).toBeGreaterThan(2000);
    expect(split.map(keyOf).sort()).toEqual(inWhole.map(keyOf).sort());
    const definitions = new Map(
      inWhole.map((entry) => [keyOf(entry), entry.definition + entry.copyStatement]),
    );
    for (const entry of split)
      expect(entry.definition + entry.copyStatement).toBe(definitions.get(keyOf(entry)));
  });

  it('comes back from its archives, equal but for the order of inherited columns and of rows', async () => {
    await server.query('postgres', 'CREATE DATABASE rebuilt TEMPLATE template0');
    expect(await rebuild(server, whole, parts, 'rebuilt')).toEqual([]);
    const textOf = async (database: string): Promise<string> => {
      const options = ['--restrict-key=x', `--dbname=${server.urlOf(database)}`];
      const { stdout } = await execa(`${server.bin}/pg_dump`, options, { maxBuffer: 1e9 });
      return withoutOrder(stdout);
    };
    const before = await textOf(regression);
    const after = await textOf('rebuilt');
    writeFileSync(join(server.folder, 'before.sql'), before);
    writeFileSync(join(server.folder, 'after.sql'), after);
    const compared = await execa('diff', ['before.sql', 'after.sql'], { cwd: server.folder, reject: false });
    expect(compared.stdout.slice(0, 2000)).toBe('');
    expect(after).toBe(before);
  });

  it('gives each schema back that stands alone; the others are named', async () => {
    const { warnings, jobs } = (await pgsiloOk(['plan', 'regression.yaml', '--json'], at)).json();
    const dependent = new Set(
      (warnings as string[]).flatMap(
        (line) => /^schema (\S+) cannot be restored without/.exec(line)?.[1] ?? [],
      ),
    );
    const schemas = jobs
      .flatMap((job: { units: { unit: string }[] }) => job.units.map(({ unit }) => unit))
      .filter((unit: string) => !unit.startsWith('@') && !dependent.has(unit));
    process.stderr.write(`need other schemas: ${[...dependent].join(' ')}; restored: ${schemas.join(' ')}\n`);
    expect(schemas.length).toBeGreaterThan(5);
    for (const schema of schemas) {
      await pgsiloOk(['restore', 'regression.yaml', schema, '--to', `back ${schema}`], at);
      expect(withoutOrder(await schemaTextOf(server, `back ${schema}`, schema))).toBe(
        withoutOrder(await schemaTextOf(server, regression, schema)),
      );
    }
  });
});
