import pg from 'pg';

/** SQL of a tenant's schema: what a dump of it must carry, and what refers to the schema by its name. */
export function schemaSql(name: string, owner: string, user: string, rows: number): string {
  const s = pg.escapeIdentifier(name);
  return `
CREATE SCHEMA ${s} AUTHORIZATION ${owner};
SET ROLE ${owner};
COMMENT ON SCHEMA ${s} IS 'a tenant';
CREATE TYPE ${s}.status AS ENUM ('open', 'paid');
CREATE DOMAIN ${s}.email AS text CHECK (VALUE ~ '@');
CREATE TYPE ${s}.address AS (street text, town text);
CREATE COLLATION ${s}.plain (provider = libc, locale = 'C');
CREATE TABLE ${s}.customer (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE ${s}.plain NOT NULL UNIQUE, mail ${s}.email, home ${s}.address,
  shouted text GENERATED ALWAYS AS (upper(name)) STORED
);
CREATE TABLE ${s}.invoice (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES ${s}.customer, state ${s}.status DEFAULT 'open', total numeric);
CREATE TABLE ${s}.event (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE ${s}.event_2025 PARTITION OF ${s}.event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX ON ${s}.event (at);
CREATE TABLE ${s}.parent (a int);
CREATE TABLE ${s}.child (b int) INHERITS (${s}.parent);
CREATE STATISTICS ${s}.both ON customer, state FROM ${s}.invoice;
CREATE FUNCTION ${s}.touch() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.total = coalesce(NEW.total, 0); RETURN NEW; END $f$;
CREATE TRIGGER touched BEFORE INSERT ON ${s}.invoice FOR EACH ROW EXECUTE FUNCTION ${s}.touch();
CREATE RULE quiet AS ON DELETE TO ${s}.parent DO INSTEAD NOTHING;
CREATE VIEW ${s}.due AS SELECT customer, sum(total) AS total FROM ${s}.invoice GROUP BY 1;
ALTER TABLE ${s}.customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON ${s}.customer FOR SELECT TO ${user} USING (name <> 'hidden');
GRANT USAGE ON SCHEMA ${s} TO ${user};
GRANT SELECT ON ALL TABLES IN SCHEMA ${s} TO ${user};
GRANT UPDATE (state) ON ${s}.invoice TO ${user};
ALTER DEFAULT PRIVILEGES IN SCHEMA ${s} GRANT SELECT ON TABLES TO ${user};
COMMENT ON COLUMN ${s}.invoice.total IS 'in euros';
INSERT INTO ${s}.customer (name, mail, home) SELECT 'customer ' || n, n || '@example.com', ROW('street ' || n, 'town'::text)::${s}.address FROM generate_series(1, ${rows}) n;
INSERT INTO ${s}.invoice (customer, total) SELECT n, n FROM generate_series(1, ${rows}) n;
INSERT INTO ${s}.event SELECT date '2025-01-01' + n % 300, 'event' FROM generate_series(1, ${rows}) n;
INSERT INTO ${s}.child VALUES (1, 2);
CREATE MATERIALIZED VIEW ${s}.totals AS SELECT state, count(*) AS n FROM ${s}.invoice GROUP BY 1;
CREATE TYPE ${s}.pair AS (a int, b int);
CREATE FUNCTION ${s}.pair_text(${s}.pair) RETURNS text LANGUAGE sql IMMUTABLE AS $f$ SELECT $1.a::text $f$;
CREATE CAST (${s}.pair AS text) WITH FUNCTION ${s}.pair_text(${s}.pair);
RESET ROLE;
`;
}
