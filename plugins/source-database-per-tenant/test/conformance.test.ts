import { createHash, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll } from 'vitest';
import { recordingLogger } from '@pgsilo/testkit';
import { clientPrograms, startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { describeSource } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';
import { databasesOf, sql, textOf } from './servers.ts';

let server: ThrowawayPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const setup = { pipeline: 'test', folder: tmpdir(), log: recordingLogger() };

describeSource('database-per-tenant', async () => {
  const unit = `acme_${randomUUID().slice(0, 8)}`;
  await sql(server, 'postgres', `CREATE DATABASE ${unit}`);
  await sql(
    server,
    unit,
    `CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 120000) g;
     ALTER TABLE orders ADD PRIMARY KEY (id);
     CREATE SEQUENCE numbers; SELECT setval('numbers', 41);
     CREATE VIEW recent AS SELECT * FROM orders WHERE id > 119000;`,
  );
  const create = async (url: string) =>
    plugin.create(plugin.options.parse({ connection: url, match: 'acme_*', fingerprint: 'content' }), setup);
  return {
    source: await create(server.url),
    traits: plugin.traits,
    unit,
    secrets: [server.password],
    // Nothing listens at port 1.
    unreachable: () => create(server.url.replace(`:${server.port}/`, ':1/')),
    async killProducer() {
      const running = clientPrograms();
      if (running.length === 0) throw new Error('no client program is running');
      for (const { pid } of running) process.kill(pid, 'SIGKILL');
    },
    async running() {
      const sessions = await sql<{ name: string }>(
        server,
        'postgres',
        `SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'pgsilo %'`,
      );
      return [
        ...clientPrograms().map(({ command }) => command),
        ...sessions.map(({ name }) => `server session ${name}`),
      ];
    },
    targets: () => databasesOf(server),
    contentOf: async (target) =>
      createHash('sha256')
        .update(await textOf(server, target ?? unit))
        .digest('hex'),
    change: async () => {
      await sql(server, unit, 'DELETE FROM orders WHERE id % 3 = 0');
    },
    async dispose() {
      for (const name of await databasesOf(server))
        if (name.startsWith(unit)) await sql(server, 'postgres', `DROP DATABASE "${name}" WITH (FORCE)`);
    },
  };
});
