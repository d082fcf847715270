import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { TestServer } from './server.ts';
import { tenantSql } from './tenant-sql.ts';

export interface Tenant {
  /** The name in the registry, and of the unit. */
  readonly unit: string;
  readonly database: string;
  readonly plan: string;
  readonly rows: number;
}

/** Names that a shell, a connection string, a path or a pattern would take for something else. */
export const oddTenant: Tenant = {
  unit: '../Ødd/"one" $(id)',
  database: `dbname=x '"--file=x\nØ%*`,
  plan: 'active',
  rows: 20,
};

export const tenants: readonly Tenant[] = [
  { unit: 'acme', database: 'acme_db', plan: 'active', rows: 3000 },
  { unit: 'globex', database: 'globex_db', plan: 'active', rows: 200 },
  { unit: 'initech', database: 'Initech', plan: 'demo', rows: 50 },
  { unit: 'umbrella', database: 'umbrella', plan: 'demo', rows: 0 },
  oddTenant,
];

/** Roles that own and use the tenants' databases, besides the superuser. */
export const ownerRole = 'vigia_owner';
export const appRole = 'vigia "app"';

/** Makes the roles, a registry and the tenants' databases. */
export async function createFleet(server: TestServer, fleet: readonly Tenant[] = tenants): Promise<void> {
  await server.query(
    'postgres',
    `CREATE ROLE ${ownerRole}; CREATE ROLE ${pg.escapeIdentifier(appRole)} LOGIN PASSWORD 'app-secret-5180'`,
  );
  await server.query('postgres', 'CREATE DATABASE vigia_master');
  await server.query(
    'vigia_master',
    `CREATE TABLE clientes_saas (db_name text PRIMARY KEY, subdominio text UNIQUE NOT NULL, plan text NOT NULL, is_active boolean NOT NULL DEFAULT true)`,
  );
  for (const tenant of fleet) await createTenant(server, tenant);
}

export async function createTenant(
  server: TestServer,
  { unit, database, plan, rows }: Tenant,
): Promise<void> {
  const name = pg.escapeIdentifier(database);
  await server.query('postgres', `CREATE DATABASE ${name} OWNER ${ownerRole}`);
  await server.query(database, tenantSql(appRole, ownerRole, rows));
  for (const statement of [
    `REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`,
    `GRANT CONNECT ON DATABASE ${name} TO ${pg.escapeIdentifier(appRole)}`,
    `ALTER DATABASE ${name} SET search_path = app, public`,
    `ALTER ROLE ${pg.escapeIdentifier(appRole)} IN DATABASE ${name} SET work_mem = '7MB'`,
    `COMMENT ON DATABASE ${name} IS 'tenant''s own'`,
  ]) {
    await server.query('postgres', statement);
  }
  await server.query('vigia_master', 'INSERT INTO clientes_saas VALUES ($1, $2, $3)', [database, unit, plan]);
}

export interface PipelineOptions {
  readonly name?: string;
  /** Lines of YAML, indented by two spaces, added to the source. */
  readonly source?: string;
  /** The transform's name; default zstd. */
  readonly transform?: string;
  /** YAML of the sinks; default: a local folder beside the file. */
  readonly sinks?: string;
  /** More YAML at the top level. */
  readonly more?: string;
  /** Further entries of `limits`, each after a comma. */
  readonly limits?: string;
}

/** Writes a pipeline file for the fleet and returns its name; the connection comes from VIGIA_URL. */
export function writePipeline(server: TestServer, options: PipelineOptions = {}): string {
  const {
    name = 'vigia',
    source = '',
    sinks = `  - { use: local, path: ./store/${options.name ?? 'vigia'} }`,
    limits = '',
    more = '',
    transform = 'zstd',
  } = options;
  const file = `${name}.yaml`;
  writeFileSync(
    join(server.folder, file),
    `pipeline: ${name}
source:
  use: database-per-tenant
  connection: \${env:VIGIA_URL}
  registry:
    database: vigia_master
    query: SELECT db_name AS database, subdominio AS unit, plan FROM clientes_saas WHERE is_active
${source}
transforms:
  - use: ${transform}
sinks:
${sinks}
limits: { backoff: 100ms${limits} }
${more}
`,
  );
  return file;
}
