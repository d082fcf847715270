-- The database that the pipeline reads: a registry, parameters that all share, and a schema for each customer.
CREATE SCHEMA central;
CREATE TABLE central.tenants (
  schema_name name PRIMARY KEY,
  subdomain text UNIQUE NOT NULL,
  plan text NOT NULL CHECK (plan IN ('free', 'paid')),
  active boolean NOT NULL DEFAULT true
);
INSERT INTO central.tenants VALUES
  ('tenant_1', 'acme', 'paid', true),
  ('tenant_2', 'globex', 'free', true),
  ('Tenant 3', 'initech', 'paid', true),
  ('tenant_4', 'hooli', 'free', false);

CREATE SCHEMA parameters;
CREATE TABLE parameters.currency (code text PRIMARY KEY, name text NOT NULL);
INSERT INTO parameters.currency VALUES ('BRL', 'real'), ('EUR', 'euro');

CREATE SCHEMA scratch_import;
CREATE TABLE scratch_import.line (text text);

DO $$
DECLARE tenant name;
BEGIN
  FOR tenant IN SELECT schema_name FROM central.tenants LOOP
    EXECUTE format('CREATE SCHEMA %I', tenant);
    EXECUTE format('CREATE TABLE %I.invoice (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, currency text NOT NULL, total numeric NOT NULL)', tenant);
    EXECUTE format('INSERT INTO %I.invoice (currency, total) SELECT ''BRL'', n * length(%L) FROM generate_series(1, 100) n', tenant, tenant);
    EXECUTE format('CREATE VIEW %1$I.due AS SELECT currency, sum(total) AS total FROM %1$I.invoice GROUP BY currency', tenant);
  END LOOP;
END
$$;
