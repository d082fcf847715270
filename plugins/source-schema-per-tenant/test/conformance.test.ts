import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll } from 'vitest';
import { recordingLogger } from '@pgsilo/testkit';
import { clientPrograms, startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { describeSource } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';
import { sql } from './fixture.ts';

let server: ThrowawayPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const setup = { pipeline: 'test', folder: tmpdir(), log: recordingLogger() };
const unit = 'acme';
let databases = 0;

describeSource('schema-per-tenant', async () => {
  databases += 1;
  const database = `tenants_${databases}`;
  await sql(server.url, `CREATE DATABASE ${database}`);
  const url = server.urlOf(database);
  await sql(
    url,
    `CREATE SCHEMA ${unit}; CREATE SCHEMA globex; CREATE TABLE globex.orders AS SELECT 1 AS id`,
    `CREATE TABLE ${unit}.orders AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 120000) g`,
    `ALTER TABLE ${unit}.orders ADD PRIMARY KEY (id)`,
    `CREATE SEQUENCE ${unit}.numbers; SELECT setval('${unit}.numbers', 41)`,
    `CREATE VIEW ${unit}.recent AS SELECT * FROM ${unit}.orders WHERE id > 119000`,
  );
  const create = async (connection: string) =>
    plugin.create(plugin.options.parse({ connection, match: '*', fingerprint: 'content' }), setup);
  const targets = async (): Promise<string[]> => {
    const databases = await sql<{ name: string }>(
      server.url,
      'SELECT datname::text AS name FROM pg_database WHERE NOT datistemplate',
    );
    const schemas = await sql<{ name: string }>(
      url,
      `SELECT nspname::text AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`,
    );
    return [...databases, ...schemas].map(({ name }) => name);
  };
  /** A kept schema is in the live database, under another name; a restored one is alone in a database of its own. */
  const contentOf = (target: string | undefined): string => {
    const kept = target?.startsWith(`${unit}_before_`) ? target : undefined;
    const from = server.urlOf(target === undefined || kept ? database : target);
    const args = ['--restrict-key=fixed', `--schema=${kept ?? unit}`, '--dbname', from];
    const text = execFileSync(`${server.bin}/pg_dump`, args, { encoding: 'utf8', maxBuffer: 1e9 });
    const named = kept ? text.replaceAll(kept, unit) : text;
    return createHash('sha256').update(named).digest('hex');
  };
  return {
    source: await create(url),
    traits: plugin.traits,
    unit,
    secrets: [server.password],
    // Nothing listens at port 1.
    unreachable: () => create(url.replace(`:${server.port}/`, ':1/')),
    async killProducer() {
      const running = clientPrograms();
      if (running.length === 0) throw new Error('no client program is running');
      for (const { pid } of running) process.kill(pid, 'SIGKILL');
    },
    async running() {
      const sessions = await sql<{ name: string }>(
        server.url,
        `SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'pgsilo %'`,
      );
      return [
        ...clientPrograms().map(({ command }) => command),
        ...sessions.map(({ name }) => `server session ${name}`),
      ];
    },
    targets,
    contentOf: async (target) => contentOf(target),
    change: async () => {
      await sql(url, `DELETE FROM ${unit}.orders WHERE id % 3 = 0`);
    },
    async dispose() {
      for (const name of await targets())
        if (name === database || name.startsWith(`${unit}_restored`))
          await sql(server.url, `DROP DATABASE "${name}" WITH (FORCE)`);
    },
  };
});
