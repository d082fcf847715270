import type pg from 'pg';
import type { TestServer } from './server.ts';

/**
 * Tables of a tenant that never rests. Whatever is committed at one time keeps two laws, so that a copy of mixed times shows:
 * amounts sum up to 0, and there are as many entries in the ledger as the counter says.
 */
export const busySql = `
CREATE TABLE accounts (id integer PRIMARY KEY, amount bigint NOT NULL);
INSERT INTO accounts SELECT i, 0 FROM generate_series(1, 500) i;
CREATE TABLE ledger (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), text text NOT NULL);
CREATE TABLE counter (n bigint NOT NULL);
INSERT INTO counter VALUES (0);
CREATE TABLE queue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload text NOT NULL);
INSERT INTO queue (payload) SELECT md5(i::text) FROM generate_series(1, 2000) i;
`;

const transfer = `
WITH moved AS (UPDATE accounts SET amount = amount + CASE id WHEN $1 THEN $3::bigint ELSE -$3::bigint END WHERE id IN ($1, $2) RETURNING id),
     entered AS (INSERT INTO ledger (text) SELECT repeat('transfer ', 1 + $3::int % 9) FROM generate_series(1, 3) RETURNING id),
     taken AS (DELETE FROM queue WHERE id IN (SELECT id FROM queue ORDER BY id LIMIT 5) RETURNING id),
     queued AS (INSERT INTO queue (payload) SELECT md5($3::text || i) FROM generate_series(1, 1 + $3::int % 9) i RETURNING id)
UPDATE counter SET n = n + (SELECT count(*) FROM entered)
`;

/** Which of the laws a copy keeps: `ledger` and `counter` are equal and `sum` is 0 in any state that ever was. */
export const lawsSql = `SELECT (SELECT sum(amount)::int FROM accounts) AS sum, (SELECT count(*)::int FROM ledger) AS ledger, (SELECT n::int FROM counter) AS counter,
  (SELECT count(*)::int FROM accounts) + (SELECT count(*)::int FROM ledger) + (SELECT count(*)::int FROM queue) + 1 AS rows`;

export interface BusyWriter {
  /** Transactions committed so far. */
  committed(): number;
  /** Ends it; rejects when a transaction has failed. */
  stop(): Promise<void>;
}

/** Writes without a pause until it is stopped. */
export async function startWriter(server: TestServer, database: string, seed: number): Promise<BusyWriter> {
  const client: pg.Client = await server.session(database);
  let commits = 0;
  let stopped = false;
  let state = seed;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const writing = (async () => {
    while (!stopped) {
      const from = 1 + next(500);
      await client.query(transfer, [from, 1 + (from % 500), next(1000)]);
      commits += 1;
    }
  })();
  writing.catch(() => undefined);
  return {
    committed: () => commits,
    stop: async () => {
      stopped = true;
      try {
        await writing;
      } finally {
        await client.end();
      }
    },
  };
}
