import { quoteIdentifier } from '@pgsilo/postgres';
import type { ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { sql } from './cluster.ts';

/** Databases whose names are something else to a shell, to libpq, to psql or to SQL. */
export const hostileNames: readonly string[] = [
  'Acme',
  'a b',
  `a"b'c\\d`,
  '--file=x',
  'dbname=postgres',
  'postgres://x',
  'ñandú',
  '$(touch x)',
  '\\connect evil',
  'select',
  'x'.repeat(63),
];

/** A file that would be there if a command of psql in somebody's data had been run. */
export const trap: string = `/tmp/pgsilo-dumpall-trap-${process.pid}`;

/** What looks like the ends of things and commands of psql, each line at the beginning of one. */
const lines: string = [
  '\\connect evil',
  `\\! touch ${trap}`,
  '\\.',
  '\\',
  '--',
  '/*',
  `\\restrict x`,
  "'",
  '$$',
  '',
].join('\n');

/** Fills a server with what a reader of dumps can be deceived by. */
export async function fillHostile(server: ThrowawayPostgres): Promise<void> {
  await sql(
    server,
    'postgres',
    `CREATE ROLE app LOGIN PASSWORD 'it''s \\ secret'`,
    `CREATE TABLE in_postgres AS SELECT generate_series(1, 2) AS id`,
    `CREATE ROLE "we ird""r" NOLOGIN`,
    `GRANT "we ird""r" TO app`,
    `ALTER ROLE app SET search_path TO a, "B c"`,
    ...[...hostileNames, 'nostromo', 'legacy', 'evil'].map(
      (name) => `CREATE DATABASE ${quoteIdentifier(name)}`,
    ),
    `CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' CONNECTION LIMIT 7`,
    `ALTER DATABASE legacy SET standard_conforming_strings = off`,
    `ALTER DATABASE nostromo OWNER TO app`,
    `ALTER DATABASE nostromo SET work_mem TO '8MB'`,
    `ALTER ROLE app IN DATABASE nostromo SET work_mem TO '9MB'`,
    `REVOKE CONNECT ON DATABASE nostromo FROM PUBLIC`,
    `GRANT CONNECT ON DATABASE nostromo TO "we ird""r"`,
    `COMMENT ON DATABASE nostromo IS E'it''s;\\n\\\\connect evil\\n\\\\! touch ${trap}'`,
  );
  for (const name of hostileNames)
    await sql(server, name, `CREATE TABLE t AS SELECT ${hostileNames.indexOf(name)} AS id`);
  await sql(
    server,
    'latin',
    `CREATE TABLE "größe" (text text)`,
    `INSERT INTO "größe" VALUES ('ñ'), (E'\\\\.')`,
  );
  await sql(
    server,
    'legacy',
    `CREATE TABLE t (text text DEFAULT 'a\\''b;')`,
    `INSERT INTO t VALUES ('x\\y')`,
    `COMMENT ON TABLE t IS 'back\\slash; '' \\'`,
    `COMMENT ON DATABASE legacy IS 'back\\slash'`,
  );
  await sql(
    server,
    'nostromo',
    `SET check_function_bodies = off`,
    `CREATE SCHEMA "we;ird"`,
    `CREATE TABLE "we;ird"."t""1" (id int GENERATED ALWAYS AS IDENTITY, "a;b" text, n text DEFAULT E'\\\\')`,
    `INSERT INTO "we;ird"."t""1" ("a;b") VALUES ($v$${lines}$v$), (E'\\\\.\\n'), (E'\\\\N'), (NULL), (''), (E'tab\\there\\r\\n')`,
    `INSERT INTO "we;ird"."t""1" ("a;b") SELECT repeat('\\.', 50000)`,
    `CREATE TABLE empty (id int PRIMARY KEY)`,
    `CREATE TABLE nothing ()`,
    `INSERT INTO nothing DEFAULT VALUES`,
    `CREATE FUNCTION body() RETURNS void LANGUAGE plpgsql AS $f$\n${lines}\n$x$ $body$ ; $ff$ end\n$f$`,
    `CREATE FUNCTION atomic(n int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN n > 1 THEN 2 ELSE 3 END; END`,
    `CREATE TABLE rules (id int)`,
    `CREATE RULE two AS ON INSERT TO rules DO ALSO (DELETE FROM empty; INSERT INTO empty VALUES (1))`,
    `CREATE VIEW looks AS SELECT $v$${lines}$v$::text AS "--", E'\\\\' AS "/*", 1 AS "$$"`,
    `COMMENT ON TABLE empty IS $v$${lines}$v$`,
    `CREATE SEQUENCE "we;ird"."s'1"`,
    `SELECT setval('"we;ird"."s''1"', 41)`,
    `CREATE SEQUENCE down INCREMENT -1 MINVALUE -100 MAXVALUE -1`,
    `SELECT setval('down', -7)`,
    `SELECT lo_from_bytea(4711, '\\x5c2e0a')`,
    `CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one`,
    `ALTER TABLE empty OWNER TO app`,
    `GRANT SELECT ON empty TO "we ird""r"`,
    `ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO "we ird""r"`,
    `CREATE EXTENSION citext`,
  );
}
