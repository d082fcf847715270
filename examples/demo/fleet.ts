import type { ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { createHash } from 'node:crypto';
import pg from 'pg';
import { demoTenants, registrySql, tenantSql, type DemoTenant } from './tenants.ts';

/** The demo's server, as the demo itself uses it: SQL, and nothing of pgsilo. */
export class Fleet {
  readonly #server: ThrowawayPostgres;

  constructor(server: ThrowawayPostgres) {
    this.#server = server;
  }

  /** Makes the registry and the tenants' databases, several at once. `scale` multiplies the data. */
  async create(scale: number, signal: AbortSignal): Promise<void> {
    await this.#run('postgres', 'CREATE ROLE vigia_app NOLOGIN');
    await this.#run('postgres', 'CREATE DATABASE vigia_master');
    await this.#run('vigia_master', registrySql);
    const waiting = [...demoTenants];
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        signal.throwIfAborted();
        await this.#createTenant(next, scale);
      }
    };
    await Promise.all([worker(), worker(), worker()]);
  }

  async #createTenant({ unit, database, plan, readings }: DemoTenant, scale: number): Promise<void> {
    const name = pg.escapeIdentifier(database);
    await this.#run('postgres', `CREATE DATABASE ${name}`);
    await this.#run(database, tenantSql(Math.round(readings * scale)));
    await this.#run('postgres', `GRANT CONNECT ON DATABASE ${name} TO vigia_app`);
    await this.#run('postgres', `ALTER DATABASE ${name} SET timezone = 'America/Sao_Paulo'`);
    await this.#run(
      'vigia_master',
      'INSERT INTO clientes_saas (db_name, subdominio, plan) VALUES ($1, $2, $3)',
      [database, unit, plan],
    );
  }

  /** What an operator does at the wrong moment. */
  async deleteWithoutWhere(database: string, table: string): Promise<number> {
    const { rowCount } = await this.#run(database, `DELETE FROM ${pg.escapeIdentifier(table)}`);
    return rowCount ?? 0;
  }

  /** A session of the application, as it is there when somebody restores. */
  async application(database: string): Promise<{ lost(): boolean; end(): Promise<void> }> {
    const client = await this.#connect(database);
    let lost = false;
    client.on('error', () => (lost = true));
    return { lost: () => lost, end: () => client.end().catch(() => undefined) };
  }

  async drop(database: string): Promise<void> {
    await this.#run('postgres', `DROP DATABASE ${pg.escapeIdentifier(database)}`);
  }

  async exists(database: string): Promise<boolean> {
    const { rows } = await this.#run('postgres', 'SELECT FROM pg_database WHERE datname = $1', [database]);
    return rows.length > 0;
  }

  /** Bytes of the tenants' databases and the registry's. */
  async bytes(): Promise<number> {
    const { rows } = await this.#run(
      'postgres',
      `SELECT sum(pg_database_size(oid))::float8 AS bytes FROM pg_database WHERE datname LIKE 'vigia\\_%'`,
    );
    return rows[0].bytes;
  }

  /**
   * Rows and a hash of everything that a database holds: all rows of all tables in the order of their text, sequences, and definitions of
   * tables, constraints, indexes, views and functions. By SQL alone: pgsilo's own fingerprint is not asked.
   */
  async content(database: string): Promise<Content> {
    const client = await this.#connect(database);
    try {
      const hash = createHash('sha256');
      let rows = 0;
      const { rows: tables } = await client.query(
        `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`,
      );
      for (const { name } of tables) {
        const table = pg.escapeIdentifier(name);
        const { rows: found } = await client.query(
          `SELECT count(*)::int4 AS rows, md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) AS hash FROM ${table} t`,
        );
        rows += found[0].rows;
        hash.update(`${name} ${found[0].rows} ${found[0].hash}\n`);
      }
      const { rows: definitions } = await client.query(definitionsSql);
      hash.update(JSON.stringify(definitions));
      return { tables: tables.length, rows, hash: hash.digest('hex').slice(0, 24) };
    } finally {
      await client.end();
    }
  }

  async #connect(database: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#server.urlOf(database) });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async #run(database: string, sql: string, values?: readonly unknown[]): Promise<pg.QueryResult> {
    const client = await this.#connect(database);
    try {
      return await client.query(sql, values && [...values]);
    } finally {
      await client.end();
    }
  }
}

/** What {@link Fleet.content} found. */
export interface Content {
  readonly tables: number;
  readonly rows: number;
  readonly hash: string;
}

const definitionsSql = `
SELECT 'column' AS kind, attrelid::regclass::text AS name, attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull AS definition
  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0 AND c.relkind = 'r'
UNION ALL SELECT 'constraint', conrelid::regclass::text || ' ' || conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'
UNION ALL SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'sequence', sequencename, last_value::text FROM pg_sequences WHERE schemaname = 'public'
ORDER BY 1, 2, 3`;
