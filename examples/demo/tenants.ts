/** A customer of the demo's software as a service: a security company that watches buildings. */
export interface DemoTenant {
  readonly unit: string;
  readonly database: string;
  readonly plan: 'enterprise' | 'standard' | 'demo';
  /** Sensor readings; everything else follows from it. */
  readonly readings: number;
}

/** Skewed as fleets are: one holds more than all the others together. */
export const demoTenants: readonly DemoTenant[] = [
  tenant('atlas', 'enterprise', 1_200_000),
  tenant('boreal', 'enterprise', 200_000),
  tenant('cais', 'standard', 90_000),
  tenant('delta', 'standard', 40_000),
  tenant('estrela', 'standard', 9_000),
  tenant('farol', 'standard', 6_000),
  tenant('granja', 'standard', 4_000),
  tenant('horizonte', 'standard', 2_500),
  tenant('ilha', 'demo', 800),
  tenant('jardim', 'demo', 500),
  tenant('lagoa', 'demo', 300),
  tenant('monte', 'demo', 0),
];

function tenant(unit: string, plan: DemoTenant['plan'], readings: number): DemoTenant {
  return { unit, database: `vigia_${unit}`, plan, readings };
}

/** SQL of the registry's database. */
export const registrySql = `
CREATE TABLE clientes_saas (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  db_name text UNIQUE NOT NULL,
  subdominio text UNIQUE NOT NULL,
  plan text NOT NULL CHECK (plan IN ('enterprise', 'standard', 'demo')),
  is_active boolean NOT NULL DEFAULT true,
  contratado_em date NOT NULL DEFAULT current_date
);
COMMENT ON TABLE clientes_saas IS 'one row for each customer and its database';
`;

/** SQL of a tenant's database, with data for `readings` sensor readings. */
export function tenantSql(readings: number): string {
  const sites = Math.ceil(readings / 2000) + 2;
  const devices = sites * 8;
  const incidents = Math.ceil(readings / 10);
  return `
CREATE TYPE gravidade AS ENUM ('baixa', 'media', 'alta');
CREATE TABLE locais (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  nome text NOT NULL UNIQUE,
  endereco jsonb NOT NULL
);
CREATE TABLE equipamentos (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  local_id integer NOT NULL REFERENCES locais,
  serie text NOT NULL UNIQUE,
  instalado_em date NOT NULL
);
CREATE TABLE leituras (
  id bigserial PRIMARY KEY,
  equipamento_id integer NOT NULL,
  lida_em timestamptz NOT NULL,
  valor numeric(10, 3) NOT NULL,
  estado text NOT NULL
);
CREATE TABLE ocorrencias (
  id bigserial PRIMARY KEY,
  equipamento_id integer NOT NULL,
  aberta_em timestamptz NOT NULL,
  gravidade gravidade NOT NULL,
  relato text NOT NULL,
  detalhes jsonb NOT NULL
);
CREATE FUNCTION minutos_abertos(desde timestamptz) RETURNS numeric LANGUAGE sql STABLE
  AS $$ SELECT round(extract(epoch FROM now() - desde) / 60) $$;
CREATE VIEW ocorrencias_graves AS
  SELECT o.id, l.nome AS local, o.aberta_em, o.relato FROM ocorrencias o
  JOIN equipamentos e ON e.id = o.equipamento_id JOIN locais l ON l.id = e.local_id WHERE o.gravidade = 'alta';

INSERT INTO locais (nome, endereco)
  SELECT 'Local ' || i, jsonb_build_object('rua', 'Rua das Acácias ' || i, 'cidade', (ARRAY['São Paulo', 'Recife', 'Porto Alegre'])[1 + i % 3], 'cep', 10000 + i)
  FROM generate_series(1, ${sites}) i;
INSERT INTO equipamentos (local_id, serie, instalado_em)
  SELECT 1 + i % ${sites}, 'SN-' || lpad(i::text, 6, '0'), date '2023-01-01' + i % 900 FROM generate_series(1, ${devices}) i;
INSERT INTO leituras (equipamento_id, lida_em, valor, estado)
  SELECT 1 + i % ${devices}, timestamptz '2026-01-01 00:00Z' + i * interval '37 seconds', (hashint4(i) % 90000) / 1000.0,
         CASE WHEN i % 50 = 0 THEN 'falha' ELSE 'normal' END
  FROM generate_series(1, ${readings}) i;
INSERT INTO ocorrencias (equipamento_id, aberta_em, gravidade, relato, detalhes)
  SELECT 1 + i % ${devices}, timestamptz '2026-01-01 00:00Z' + i * interval '6 minutes', (ARRAY['baixa', 'media', 'alta'])[1 + i % 3]::gravidade,
         'Movimento no portão ' || i || ': ' || md5(i::text) || md5((i + 1)::text),
         jsonb_build_object('camera', i % 16, 'operador', 'op' || i % 40, 'fotos', jsonb_build_array(md5(i::text), md5((-i)::text)))
  FROM generate_series(1, ${incidents}) i;

CREATE INDEX leituras_por_equipamento ON leituras (equipamento_id, lida_em);
CREATE INDEX ocorrencias_por_tempo ON ocorrencias (aberta_em);
CREATE INDEX ocorrencias_detalhes ON ocorrencias USING gin (detalhes jsonb_path_ops);
ALTER TABLE leituras ADD FOREIGN KEY (equipamento_id) REFERENCES equipamentos;
ALTER TABLE ocorrencias ADD FOREIGN KEY (equipamento_id) REFERENCES equipamentos;
ANALYZE;
`;
}
