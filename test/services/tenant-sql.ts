import pg from 'pg';

/** SQL of a tenant's database: a bit of everything that a dump must carry. */
export function tenantSql(appRole: string, ownerRole: string, rows: number): string {
  const app = pg.escapeIdentifier(appRole);
  return `
SET ROLE ${ownerRole};
CREATE SCHEMA app AUTHORIZATION ${ownerRole};
SET search_path = app;
CREATE TYPE status AS ENUM ('open', 'paid', 'lost');
CREATE DOMAIN email AS text CHECK (VALUE ~ '@');
CREATE TABLE customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,
  mail email,
  about jsonb NOT NULL DEFAULT '{}',
  shouted text GENERATED ALWAYS AS (upper(name)) STORED
);
CREATE TABLE orders (
  id serial PRIMARY KEY,
  customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
  state status NOT NULL DEFAULT 'open',
  total numeric(12, 2) NOT NULL CHECK (total >= 0),
  ordered timestamptz NOT NULL,
  document bytea
);
CREATE INDEX orders_open ON orders (ordered) WHERE state = 'open';
CREATE INDEX customers_about ON customers USING gin (about);
CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "Odd ""table"" with = /" ("a b" text, "select" integer);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.ordered = coalesce(NEW.ordered, now()); RETURN NEW; END $f$;
CREATE TRIGGER touched BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE VIEW due AS SELECT customer, sum(total) AS total FROM orders WHERE state = 'open' GROUP BY 1;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON customers FOR SELECT TO ${app} USING (name <> 'hidden');
GRANT USAGE ON SCHEMA app TO ${app};
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA app TO ${app};
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO ${app};
COMMENT ON TABLE orders IS 'what they''bought';
INSERT INTO customers (name, mail, about)
  SELECT 'customer ' || i, 'c' || i || '@example.com', jsonb_build_object('n', i, 'tags', jsonb_build_array('a', E'line\\nbreak', 'ü'))
  FROM generate_series(1, ${rows} / 10) i;
INSERT INTO orders (customer, state, total, ordered, document)
  SELECT 1 + i % (${rows} / 10), (ARRAY['open', 'paid', 'lost'])[1 + i % 3]::status, i * 1.25, timestamptz '2025-01-01 00:00Z' + i * interval '1 hour',
         decode(md5(i::text), 'hex')
  FROM generate_series(1, ${rows}) i;
INSERT INTO events SELECT date '2025-01-01' + i % 700, CASE WHEN i % 7 = 0 THEN NULL ELSE 'event ' || i END FROM generate_series(1, ${rows}) i;
INSERT INTO "Odd ""table"" with = /" VALUES (E'tab\\tand \\\\ backslash', ${rows}), ('\\N', NULL);
CREATE MATERIALIZED VIEW totals AS SELECT state, count(*) AS n FROM orders GROUP BY 1;
SELECT setval('app.orders_id_seq', ${rows + 41});
SELECT lo_from_bytea(4711, 'a large object');
RESET ROLE;
`;
}
