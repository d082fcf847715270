import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { createDatabases, jobOf, plan, read, setupOf, sql } from './fixture.ts';

let server: ThrowawayPostgres;
let folder: string;
beforeAll(async () => {
  server = await startPostgres();
  folder = mkdtempSync(join(tmpdir(), 'pgsilo-standstill-'));
  await createDatabases(server.url, ['queues']);
  await sql(server.url, 'queues', 'CREATE TABLE queue AS SELECT 1 AS id');
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await server.stop();
});

/** A folder whose pg_dump begins only when the file `held` beside it is gone. */
function heldPgDump(): { readonly bin: string; readonly held: string } {
  const [script, held] = [join(folder, 'pg_dump'), join(folder, 'held')];
  const real = `${server.bin}/pg_dump`;
  writeFileSync(
    script,
    `#!/bin/sh\n[ "$1" = --version ] || { touch ${held}; while [ -e ${held} ]; do sleep 0.05; done; }\nexec ${real} "$@"\n`,
  );
  chmodSync(script, 0o755);
  return { bin: folder, held };
}

/** The backup's own session, once it has looked for a standstill. */
const looking = (): Promise<{ pid: number }[]> =>
  sql(
    server.url,
    'postgres',
    `SELECT pid FROM pg_stat_activity WHERE datname = 'queues' AND query LIKE '%pg_blocking_pids%' AND state = 'idle in transaction'`,
  );

const waiting = (): Promise<{ pid: number }[]> =>
  sql(
    server.url,
    'postgres',
    `SELECT pid FROM pg_stat_activity WHERE datname = 'queues' AND wait_event_type = 'Lock'`,
  );

test(
  'a TRUNCATE that comes in between our lock and that of pg_dump goes first, and nobody stands still for lockTimeout',
  { timeout: 120_000 },
  async () => {
    const { bin, held } = heldPgDump();
    const setup = setupOf(server.url, {
      databases: ['queues'],
      bin,
      lockTimeout: '1h',
      fingerprint: 'content',
    });
    const reading = read(setup, jobOf(await plan(setup), 'queues'));
    reading.catch(() => undefined);
    await expect.poll(() => existsSync(held), { timeout: 60_000 }).toBe(true);
    const truncating = sql(server.url, 'queues', 'TRUNCATE queue');
    truncating.catch(() => undefined);
    await expect.poll(waiting, { timeout: 60_000 }).toHaveLength(1);
    // At its first look pg_dump has no session yet.
    await expect.poll(looking, { timeout: 60_000 }).toHaveLength(1);
    rmSync(held);
    await expect(reading).rejects.toMatchObject({
      code: 'source.lock-timeout',
      retryable: true,
      message: expect.stringContaining('database queues'),
    });
    await truncating;
    expect(await waiting()).toEqual([]);
  },
);
