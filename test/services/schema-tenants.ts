import { execa } from 'execa';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { schemaSql } from './schema-sql.ts';
import type { TestServer } from './server.ts';

/** What schemas may be called, as SQL, as a pattern, as a file and as a tag for people. */
export const schemaTenants: readonly string[] = [
  'acme', 'Acme', 'a.b"c', '*', 'q?x', 'qyx', 'select', 'two\nlines', 'back\\slash', `it's`, `${'é'.repeat(31)}x`,
]; // prettier-ignore

/** A pipeline of the schemas of database `app`; without roles, unless `more` says otherwise. */
export function writeSchemaPipeline(
  server: TestServer,
  more = '',
  tenants = 'registry: { query: "SELECT schema, plan FROM central.tenants" }',
  besides = '',
): string {
  writeFileSync(
    join(server.folder, 'schemas.yaml'),
    `pipeline: schemas
source:
  use: schema-per-tenant
  connection: \${env:SCHEMAS_URL}
  database: app
  ${tenants}
  shared: [central]
  fingerprint: content
  bin: ${server.bin}
${/^ *globals:/m.test(more) ? '' : '  globals: false\n'}${more}
transforms:
  - use: zstd
sinks:
  - { use: local, path: store }
${besides}
`,
  );
  return 'schemas.yaml';
}

/** Database `app` with these tenants, and what tenants share. */
export async function createSchemaTenants(
  server: TestServer,
  names: readonly string[],
  rows = 100,
): Promise<void> {
  for (const role of ['app_owner', '"app user"']) await server.query('postgres', `CREATE ROLE ${role}`);
  await server.query('postgres', 'CREATE DATABASE app OWNER app_owner');
  await server.query(
    'app',
    'CREATE SCHEMA central; CREATE TABLE central.tenants (schema text PRIMARY KEY, plan text); CREATE TABLE central.rate (id int PRIMARY KEY); INSERT INTO central.rate VALUES (1)',
  );
  for (const [index, name] of names.entries()) {
    await server.query('app', schemaSql(name, 'app_owner', '"app user"', rows + index));
    await server.query('app', 'INSERT INTO central.tenants VALUES ($1, $2)', [
      name,
      index % 2 ? 'free' : 'paid',
    ]);
  }
}

/** What pg_dump tells of a database, as text that does not differ from call to call. */
export async function databaseText(server: TestServer, database: string, ...more: string[]): Promise<string> {
  const { stdout } = await execa(
    `${server.bin}/pg_dump`,
    ['--restrict-key=x', `--dbname=${server.urlOf(database)}`, ...more],
    {
      maxBuffer: 100e6,
    },
  );
  return stdout;
}

/** Its entries, sorted: pg_dump lists what has a name in no schema by number, which a restored one cannot have again. */
export function entriesOf(text: string): string[] {
  return text
    .split(/^(?=--\n-- (?:Name|Data for Name): )/m)
    .map((entry) => entry.trim())
    .sort();
}

/** The same of one schema. */
export function schemaText(server: TestServer, database: string, schema: string): Promise<string> {
  return databaseText(server, database, '--strict-names', `--schema=${pg.escapeIdentifier(schema)}`);
}
