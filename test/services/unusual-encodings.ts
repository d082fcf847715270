import type { UnusualTenant } from './unusual-tenants.ts';

/** Names and contents of one script, in a database whose encoding is not the server's; names must reach the archive's reader too. */
const wordsSql = (word: string): string => `
CREATE SCHEMA "${word}";
CREATE TYPE "${word}"."${word} state" AS ENUM ('${word}', '${word}2');
CREATE TABLE "${word}"."${word}" (id serial PRIMARY KEY, "${word}" text NOT NULL DEFAULT '${word}', state "${word}"."${word} state");
INSERT INTO "${word}"."${word}" ("${word}", state) SELECT '${word} ' || i, '${word}' FROM generate_series(1, 40) i;
CREATE INDEX "${word} index" ON "${word}"."${word}" ("${word}");
CREATE FUNCTION "${word}"() RETURNS text LANGUAGE sql AS $$SELECT '${word}'::text$$;
CREATE SEQUENCE "${word} sequence"; SELECT nextval('"${word} sequence"');
COMMENT ON TABLE "${word}"."${word}" IS '${word}';
`;

const of = (name: string, creation: string, word: string): UnusualTenant => ({
  name,
  creation,
  sql: [wordsSql(word)],
  compared: /^1 table, 40 rows, 2 sequences/,
});

/** Bytes that are no text in any encoding, in values: old databases have them, from clients that lied about their encoding. */
const bytesSql = `
DO $$BEGIN
  EXECUTE format('CREATE TABLE %I (id integer PRIMARY KEY, text text)', 'values');
  EXECUTE format('INSERT INTO %I SELECT i, %L || i FROM generate_series(1, 30) i', 'values', convert_from('\\xfffec3', 'SQL_ASCII'));
  EXECUTE format('INSERT INTO %I VALUES (31, %L)', 'values', 'ñandú');
END$$;
`;

const byteNamesSql = (table: string, column: string): string => `
DO $$BEGIN
  EXECUTE format('CREATE TABLE %I (%I integer PRIMARY KEY, text text)', ${table}, ${column});
  EXECUTE format('INSERT INTO %I SELECT i, %L || i FROM generate_series(1, 30) i', ${table}, ${column});
END$$;
`;
const bytes = `convert_from('\\x6ee96d', 'SQL_ASCII')`;

/** Tenants whose tables or columns have names that are no text, so that nothing can be counted by name. */
export const byteNamedTenants: readonly UnusualTenant[] = [
  {
    name: 'bytes for a table',
    creation: `ENCODING SQL_ASCII LOCALE 'C'`,
    sql: [byteNamesSql(bytes, `'id'`)],
    compared: /^nothing, because the backup has no fingerprint/,
  },
  {
    name: 'bytes for a column',
    creation: `ENCODING SQL_ASCII LOCALE 'C'`,
    sql: [byteNamesSql(`'plain'`, bytes)],
    compared: /^nothing, because the backup has no fingerprint/,
  },
];

const german = `
CREATE COLLATION no_case (provider = icu, locale = 'de-u-ks-level2', deterministic = false);
CREATE TABLE words (word text COLLATE no_case PRIMARY KEY, plain text UNIQUE);
INSERT INTO words SELECT w || i, w || i FROM unnest(ARRAY['Ä', 'Zebra', 'ß', 'ss ']) w, generate_series(1, 20) i;
CREATE TABLE parts (word text) PARTITION BY RANGE (word);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('m');
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM ('m') TO (MAXVALUE);
INSERT INTO parts SELECT plain FROM words;
`;

/** Tenants in other encodings and locales than the server's own. */
export const odderTenants: readonly UnusualTenant[] = [
  of('latin1', `ENCODING LATIN1 LOCALE 'C'`, 'ñandú ÿ'),
  of('win1251', `ENCODING WIN1251 LOCALE 'C'`, 'Привет'),
  of('euc_jp', `ENCODING EUC_JP LOCALE 'C'`, '日本語'),
  of('utf8 in C', `ENCODING UTF8 LOCALE 'C'`, 'ñandú 日本 💾'),
  of('sql_ascii', `ENCODING SQL_ASCII LOCALE 'C'`, 'ñandú 日本'),
  {
    name: 'sql_ascii bytes',
    creation: `ENCODING SQL_ASCII LOCALE 'C'`,
    sql: [bytesSql],
    compared: /^1 table, 31 rows/,
  },
  {
    name: 'icu',
    creation: `LOCALE_PROVIDER icu ICU_LOCALE 'de-DE-u-co-phonebk' LOCALE 'C.UTF-8'`,
    sql: [german],
    compared: /^3 tables, 160 rows/,
  },
];
