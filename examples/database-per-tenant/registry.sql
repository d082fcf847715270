-- The registry that the four pipelines read: one row for each customer and its database.
CREATE TABLE clientes_saas (
  db_name text PRIMARY KEY,
  subdominio text UNIQUE NOT NULL,
  class text NOT NULL CHECK (class IN ('master', 'active', 'demo', 'legacy')),
  region text NOT NULL,
  is_active boolean NOT NULL DEFAULT true
);
INSERT INTO clientes_saas VALUES
  ('vigia_sul', 'sul', 'master', 'south', true),
  ('vigia_acme', 'acme', 'active', 'south', true),
  ('vigia_globex', 'globex', 'active', 'north', true),
  ('vigia_trial_1', 'trial-1', 'demo', 'north', true),
  ('vigia_trial_2', 'trial-2', 'demo', 'north', true),
  ('vigia_velha', 'velha', 'legacy', 'south', false);
