import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pgsiloOk, type CallOptions } from './services/pgsilo.ts';
import { availablePostgres, installPostgres } from './services/postgres.ts';
import { schemaObjectsSql } from './services/schema-objects-sql.ts';
import { schemaSql } from './services/schema-sql.ts';
import { schemaTextOf } from './services/schema-text.ts';
import { startServer, type TestServer } from './services/server.ts';

const system = (await availablePostgres())[0]!;
const wanted = [system, await installPostgres(17), await installPostgres(18)];
const versions = wanted.filter(({ major }, index) => index === 0 || major !== system.major);

/** As SQL, as a pattern, as an option, as a shell and as a path may misread them; two are equal but for the case, two but for their last byte. */
const names: readonly string[] = [
  'Tenant', 'tenant', `a.b"c'd`, 'x*?[a-z]', '--schema=x', 'user', 'two\nlines', '../$(id) `x`', String.raw`back\slash %s _`, `${'é'.repeat(31)}x`, `${'é'.repeat(31)}y`,
]; // prettier-ignore

describe.each(versions)('PostgreSQL $major', { timeout: 300_000 }, (programs) => {
  describe.skipIf('unavailable' in programs)('a schema with every kind of object', () => {
    let server: TestServer;
    let at: CallOptions;
    beforeAll(async () => {
      server = await startServer('bin' in programs ? { bin: programs.bin } : {});
      at = { cwd: server.folder, env: { SCHEMAS_URL: server.url } };
      for (const role of ['app_owner', '"app user"']) await server.query('postgres', `CREATE ROLE ${role}`);
      await server.query('postgres', 'CREATE DATABASE app OWNER app_owner');
      for (const [index, name] of names.entries()) {
        await server.query('app', schemaSql(name, 'app_owner', '"app user"', 20 + index));
        await server.query('app', schemaObjectsSql(name, 'app_owner', '"app user"', programs.major));
      }
    }, 120_000);
    afterAll(() => server?.stop());

    it.each(['one-pass', 'per-schema'])(
      'comes back text for text, whatever its name: %s',
      async (strategy) => {
        const file = `${strategy}.yaml`;
        // It leaves casts to @database, see the plugin's own test; pg_dump orders functions by them.
        if (strategy === 'per-schema')
          for (const name of names)
            await server.query('app', `DROP CAST (${pg.escapeIdentifier(name)}.pair AS text)`);
        writeFileSync(
          join(server.folder, file),
          `pipeline: ${strategy}
source: { use: schema-per-tenant, connection: "\${env:SCHEMAS_URL}", database: app, match: "*", exclude: public, strategy: ${strategy}, fingerprint: content, bin: ${server.bin} }
transforms: [{ use: zstd }]
sinks: [{ use: local, path: store }]
`,
        );
        await pgsiloOk(['backup', file], at);
        await pgsiloOk(['verify', file, '--level', 'decode'], at);
        // Names differ in what pgsilo does with them, versions in what pg_dump and pg_restore write.
        const restored = strategy === 'one-pass' && programs === system ? names : names.slice(2, 5);
        for (const [index, name] of restored.entries()) {
          const to = `${strategy}_${index}`;
          // Several jobs of pg_restore may block each other where one attaches an index to that of a partition of partitions.
          await pgsiloOk(['restore', file, '--to', to, '--jobs', '1', '--', name], at);
          const before = await schemaTextOf(server, 'app', name);
          expect(before.length).toBeGreaterThan(20_000);
          expect(await schemaTextOf(server, to, name)).toBe(before);
          await server.query('postgres', `DROP DATABASE "${to}"`);
        }
      },
    );
  });
});
