import pg from 'pg';
import type { TestServer } from '../services/server.ts';

/** Rows of the largest tenant; the others follow Zipf's law, as tenants' sizes do. Together they make about 1 GB in the server. */
const rowsOfLargest = 900_000;
const smallest = 3000;

/** Names of the tenants' databases, the largest first. */
export function tenantNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `tenant_${String(index + 1).padStart(2, '0')}`);
}

/**
 * What a small business application holds: numbers, times, addresses, free text of common words, a JSON document. It compresses about as such data does.
 * The same on each machine: nothing in it is random.
 */
const tenantSql = (rows: number): string => `
CREATE TABLE customer (
  id bigint PRIMARY KEY, external_id uuid NOT NULL, name text NOT NULL, email text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL, settings jsonb NOT NULL
);
CREATE TABLE invoice (
  id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customer, issued_at timestamptz NOT NULL,
  amount numeric(12, 2) NOT NULL, status text NOT NULL, note text NOT NULL
);
CREATE FUNCTION word(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT (ARRAY['delivery','of','spare','parts','for','the','second','quarter','monthly','service','fee','replacement','filter','valve',
    'labour','hours','travel','to','site','north','refund','partial','order','urgent','agreed','by','phone','with','customer','warranty',
    'inspection','annual'])[1 + (hashint8(n) & 31)]
$$;
INSERT INTO customer
  SELECT n, md5(n::text)::uuid, initcap(word(n) || ' ' || word(n * 7) || ' ' || (hashint8(n) & 8191)),
         substr(md5(n::text), 1, 9) || n || '@example.com', timestamptz '2024-01-01' + n * interval '17 minutes',
         jsonb_build_object('plan', word(n * 3), 'seats', hashint8(n) & 63, 'token', md5((n * 5)::text))
  FROM generate_series(1, ${Math.ceil(rows / 10)}) n;
INSERT INTO invoice
  SELECT n, 1 + n % ${Math.ceil(rows / 10)}, timestamptz '2024-01-01' + n * interval '97 seconds', (hashint8(n) & 1048575) / 100.0,
         (ARRAY['open','paid','late','void'])[1 + (hashint8(n * 11) & 3)],
         word(n) || ' ' || word(n * 3) || ' ' || word(n * 5) || ' ' || word(n * 13) || ' ' || word(n * 17) || ' ' || (hashint8(n * 19) & 65535)
  FROM generate_series(1, ${rows}) n;
CREATE INDEX ON invoice (customer_id, issued_at);
VACUUM ANALYZE`;

/** Fills the server with tenants. @returns the sum of pg_database_size over them, in bytes. */
export async function createTenants(server: TestServer, names: readonly string[]): Promise<number> {
  for (const [index, name] of names.entries()) {
    const rows = smallest + Math.round(rowsOfLargest / (index + 1));
    await server.query('postgres', `CREATE DATABASE ${pg.escapeIdentifier(name)}`);
    for (const statement of tenantSql(rows).split(/;\n(?=[A-Z])/u)) await server.query(name, statement);
  }
  await server.query('postgres', 'CHECKPOINT');
  const [row] = await server.query(
    'postgres',
    'SELECT sum(pg_database_size(datname))::text AS bytes FROM pg_database WHERE datname = ANY ($1)',
    [names],
  );
  return Number(row!['bytes']);
}
