import pg from 'pg';
import type { TestServer } from './server.ts';
import { odderTenants } from './unusual-encodings.ts';

export interface UnusualTenant {
  /** Name of unit and database. */
  readonly name: string;
  /** Options of CREATE DATABASE; default: the server's. */
  readonly creation?: string;
  /** Run in the database, each as a statement or several of one transaction. */
  readonly sql: readonly string[];
  /** Run elsewhere; `%d` stands for the quoted database. */
  readonly settings?: readonly string[];
  /** What `restore` says it has compared. */
  readonly compared: RegExp;
}

export const plainRole = 'unusual_owner';

const objectsOnly = `
CREATE SCHEMA shop;
CREATE TYPE shop.state AS ENUM ('open', 'shut');
CREATE DOMAIN shop.mail AS text CHECK (VALUE ~ '@');
CREATE TYPE shop.pair AS (a shop.state, b shop.mail);
CREATE SEQUENCE shop.numbers START 5 INCREMENT -3 MINVALUE -1000 MAXVALUE 10 CYCLE;
SELECT nextval('shop.numbers'), nextval('shop.numbers');
CREATE SEQUENCE shop.untouched;
CREATE FUNCTION shop.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE PROCEDURE shop.nothing() LANGUAGE plpgsql AS $$BEGIN NULL; END$$;
CREATE AGGREGATE shop.total (integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE OPERATOR shop.## (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4mul);
CREATE VIEW shop.answer AS SELECT shop.twice(21) AS n;
CREATE TEXT SEARCH CONFIGURATION shop.words (COPY = simple);
CREATE PUBLICATION everything FOR ALL TABLES;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO ${plainRole};
CREATE FUNCTION shop.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'this database is frozen'; END$$;
COMMENT ON SCHEMA shop IS 'no table is in here';
CREATE EVENT TRIGGER frozen ON ddl_command_start EXECUTE FUNCTION shop.watch();
`;

const largeObjects = `
SELECT lo_create(1001);
SELECT lo_from_bytea(1002, decode('00ff5c0a27', 'hex'));
SELECT lo_from_bytea(1003, (SELECT string_agg(decode(md5(i::text), 'hex'), '' ORDER BY i) FROM generate_series(1, 200000) i));
SELECT lo_from_bytea(4294967294, 'the last one');
ALTER LARGE OBJECT 1002 OWNER TO ${plainRole};
GRANT SELECT ON LARGE OBJECT 1003 TO ${plainRole};
COMMENT ON LARGE OBJECT 1002 IS 'five bytes';
CREATE TABLE documents (id integer PRIMARY KEY, body oid);
INSERT INTO documents SELECT row_number() OVER (ORDER BY oid), oid FROM pg_largeobject_metadata;
`;

/** Those of PostgreSQL's own collection that have types, operators or tables which others build on. */
const extensions = ['btree_gin', 'btree_gist', 'citext', 'cube', 'fuzzystrmatch', 'hstore', 'intarray', 'isn', 'lo', 'ltree', 'pg_trgm', 'pgcrypto', 'postgres_fdw', 'tablefunc', 'unaccent', 'uuid-ossp']; // prettier-ignore

const withExtensions = [
  `CREATE SCHEMA ext; ${extensions.map((name) => `CREATE EXTENSION ${pg.escapeIdentifier(name)} SCHEMA ext`).join('; ')}`,
  `SET search_path = public, ext;
CREATE TABLE people (
  id uuid PRIMARY KEY DEFAULT ext.uuid_generate_v4(),
  mail citext UNIQUE,
  about hstore NOT NULL DEFAULT '',
  place ltree,
  tags integer[],
  shape cube,
  book isbn,
  photo lo,
  folded text GENERATED ALWAYS AS (ext.digest(about::text, 'sha256')::text) STORED
);
CREATE DOMAIN address AS citext CHECK (VALUE ~ '@'::citext);
CREATE INDEX ON people USING gin (about);
CREATE INDEX ON people USING gist (place);
CREATE INDEX ON people USING gin (tags gin__int_ops);
CREATE INDEX ON people USING gin ((mail::text) gin_trgm_ops);
CREATE TABLE booked (room integer, during tstzrange, EXCLUDE USING gist (room WITH =, during WITH &&));
CREATE TRIGGER photos BEFORE UPDATE OR DELETE ON people FOR EACH ROW EXECUTE FUNCTION lo_manage(photo);
CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = unaccent, RULES = 'unaccent');
INSERT INTO people (mail, about, place, tags, shape, book)
  SELECT 'Someone' || i || '@example.com', hstore(ARRAY['n', i::text, 'nothing', NULL]), ('top.n' || i)::ltree, ARRAY[i, i * 2], cube(ARRAY[i, i]), '0-7475-3269-9'
  FROM generate_series(1, 200) i;
INSERT INTO booked SELECT i, tstzrange(timestamptz '2026-01-01Z', timestamptz '2026-01-02Z') FROM generate_series(1, 20) i;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'not there');
CREATE USER MAPPING FOR ${plainRole} SERVER elsewhere OPTIONS (user 'nobody', password 'not-secret');
CREATE FOREIGN TABLE far (id integer) SERVER elsewhere;`,
];

const rowSecurity = `
GRANT CREATE, USAGE ON SCHEMA public TO ${plainRole};
SET ROLE ${plainRole};
CREATE TABLE secrets (id integer PRIMARY KEY, tenant text, text text);
INSERT INTO secrets SELECT i, 'tenant ' || i % 7, 'secret ' || i FROM generate_series(1, 700) i;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON secrets USING (tenant = 'tenant 1') WITH CHECK (false);
CREATE POLICY fewer ON secrets AS RESTRICTIVE USING (id < 100);
CREATE TABLE denied (id integer);
INSERT INTO denied SELECT i FROM generate_series(1, 50) i;
ALTER TABLE denied ENABLE ROW LEVEL SECURITY;
ALTER TABLE denied FORCE ROW LEVEL SECURITY;
RESET ROLE;
`;

const manyTables = `
CREATE SCHEMA many;
DO $$BEGIN
  FOR i IN 1..2000 LOOP
    EXECUTE format('CREATE TABLE many.t%s (id integer PRIMARY KEY, text varchar(40))', i);
    EXECUTE format('INSERT INTO many.t%s SELECT n, ''table %s row '' || n FROM generate_series(1, %s) n', i, i, i % 5);
  END LOOP;
END$$;
`;

const oddTables = `
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE only_computed (one integer GENERATED ALWAYS AS (1) STORED);
INSERT INTO only_computed DEFAULT VALUES;
CREATE UNLOGGED TABLE unlogged AS SELECT i FROM generate_series(1, 10) i;
CREATE TABLE changed (gone integer, kept integer, also_gone text);
INSERT INTO changed SELECT i, i, 'x' FROM generate_series(1, 30) i;
ALTER TABLE changed DROP COLUMN gone, DROP COLUMN also_gone, ADD COLUMN late text DEFAULT 'late';
CREATE TABLE wide_value (t text, b bytea);
INSERT INTO wide_value SELECT repeat(E'line\\t\\\\.\\n', 1000000), decode(repeat('5c2e0a', 1000000), 'hex');
CREATE TABLE values_at_the_edge (n numeric, f float8, f4 real, d date, t timestamptz, i interval, c "char", a text[], j json, m money, x bit varying, p point);
INSERT INTO values_at_the_edge VALUES ('NaN', 'NaN', '-Infinity', 'infinity', '-infinity', '-1 year 2 days', 'c', ARRAY['', NULL, 'NULL', '"', '{'], '{"a":1, "a" : 2}', 12.34, B'0101', '(0.1,1e-300)'),
  (1e-1000, 4.9e-324, 1.1754944e-38, '4713-01-01 BC', '294276-12-31 23:59:59Z', '178000000 years', '', '{}', 'null', -0.01, '', NULL),
  (NULL, '-0', 0.1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE parents (id integer PRIMARY KEY);
CREATE TABLE children (more text) INHERITS (parents);
INSERT INTO parents VALUES (1), (2); INSERT INTO children VALUES (3, 'a child');
CREATE TABLE no_partitions (at date) PARTITION BY RANGE (at);
CREATE TABLE round_a (id integer PRIMARY KEY, b integer);
CREATE TABLE round_b (id integer PRIMARY KEY, a integer REFERENCES round_a DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE round_a ADD FOREIGN KEY (b) REFERENCES round_b DEFERRABLE;
BEGIN; INSERT INTO round_b VALUES (1, 1); INSERT INTO round_a VALUES (1, 1); COMMIT;
CREATE TABLE guarded (id integer);
INSERT INTO guarded SELECT i FROM generate_series(1, 5) i;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no row goes in'; END$$;
CREATE TRIGGER refuses BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE guarded ENABLE ALWAYS TRIGGER refuses;
CREATE RULE swallow AS ON INSERT TO guarded DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW never_filled AS SELECT count(*) FROM guarded WITH NO DATA;
DO $$BEGIN EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg('c' || i || ' integer', ', ') FROM generate_series(1, 1600) i) || ')'; END$$;
INSERT INTO wide (c1, c1600) VALUES (1, 1600);
`;

export const unusualTenants: readonly UnusualTenant[] = [
  { name: 'empty', sql: [], compared: /^0 tables, 0 rows, 0 sequences/ },
  { name: 'without public', sql: ['DROP SCHEMA public'], compared: /^0 tables/ },
  { name: 'objects only', sql: [objectsOnly], compared: /^0 tables, 0 rows, 2 sequences/ },
  { name: 'large objects', sql: [largeObjects], compared: /^1 table, 4 rows, 0 sequences, 4 large objects/ },
  { name: 'extensions', sql: withExtensions, compared: /^2 tables, 220 rows/ },
  { name: 'row security', sql: [rowSecurity], compared: /^2 tables, 750 rows/ },
  { name: 'many tables', sql: [manyTables], compared: /^2,000 tables, 4,000 rows/ },
  { name: 'odd tables', sql: oddTables.split(/(?<=;)\n/), compared: /^1[0-9] tables, / },
  {
    name: 'frozen',
    sql: [
      `CREATE TABLE t AS SELECT i, i * 0.1::float8 AS f, now() - i * interval '1 day' AS at FROM generate_series(1, 100) i`,
    ],
    settings: [
      'ALTER DATABASE %d SET default_transaction_read_only = on',
      'ALTER DATABASE %d SET default_transaction_isolation = serializable',
      'ALTER DATABASE %d SET search_path = nowhere',
      'ALTER DATABASE %d SET client_encoding = LATIN1',
      `ALTER DATABASE %d SET datestyle = 'SQL, DMY'`,
      'ALTER DATABASE %d SET intervalstyle = sql_standard',
      'ALTER DATABASE %d SET extra_float_digits = -10',
      'ALTER DATABASE %d SET bytea_output = escape',
      'ALTER DATABASE %d SET standard_conforming_strings = off',
      'ALTER DATABASE %d SET quote_all_identifiers = on',
      `ALTER DATABASE %d SET timezone = 'Asia/Kathmandu'`,
      `ALTER DATABASE %d SET my.own = 'a ''quoted'' \\value'`,
      'ALTER DATABASE %d CONNECTION LIMIT 0',
    ],
    compared: /^1 table, 100 rows/,
  },
  ...odderTenants,
];

/** Makes a registry, roles and the tenants. */
export async function createUnusualFleet(
  server: TestServer,
  tenants: readonly UnusualTenant[],
): Promise<void> {
  await server.query('postgres', `CREATE ROLE ${plainRole}`);
  await server.query('postgres', 'CREATE DATABASE vigia_master');
  await server.query(
    'vigia_master',
    'CREATE TABLE clientes_saas (db_name text PRIMARY KEY, subdominio text UNIQUE, plan text, is_active boolean DEFAULT true)',
  );
  for (const tenant of tenants) await createUnusual(server, tenant);
}

export async function createUnusual(
  server: TestServer,
  { name, creation, sql, settings = [] }: UnusualTenant,
): Promise<void> {
  const database = pg.escapeIdentifier(name);
  await server.query(
    'postgres',
    `CREATE DATABASE ${database}${creation ? ` TEMPLATE template0 ${creation}` : ''}`,
  );
  const client = await server.session(name);
  try {
    for (const statement of sql) await client.query(statement);
  } finally {
    await client.end();
  }
  for (const statement of settings) await server.query('postgres', statement.replaceAll('%d', database));
  await server.query('vigia_master', 'INSERT INTO clientes_saas VALUES ($1, $1)', [name]);
}
