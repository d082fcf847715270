import { createHash, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll } from 'vitest';
import type { Source } from '@pgsilo/plugin';
import { recordingLogger } from '@pgsilo/testkit';
import { clientPrograms, startPostgres, type ThrowawayPostgres } from '@pgsilo/testkit/postgres';
import { describeSource } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';
import { databasesOf, sql, textOf } from './cluster.ts';

let server: ThrowawayPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const setup = { pipeline: 'test', folder: tmpdir(), log: recordingLogger() };

const wholeServer =
  'A whole server is restored into an empty one and replaces nothing; restore.test.ts shows it.';

describeSource('dumpall', async () => {
  const database = `acme_${randomUUID().slice(0, 8)}`;
  await sql(
    server,
    'postgres',
    ...(await databasesOf(server)).map((name) => `DROP DATABASE "${name}" WITH (FORCE)`),
    `CREATE DATABASE ${database}`,
  );
  await sql(
    server,
    database,
    `CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 120000) g`,
    `ALTER TABLE orders ADD PRIMARY KEY (id)`,
    `CREATE SEQUENCE numbers`,
    `SELECT setval('numbers', 41)`,
    `CREATE VIEW recent AS SELECT * FROM orders WHERE id > 119000`,
  );
  const create = async (url: string): Promise<Source> => {
    const source = await plugin.create(plugin.options.parse({ connection: url }), setup);
    // The suite looks at one database that stays where it is, so that is what is restored.
    return { ...source, restore: (request, context) => source.restore({ ...request, database }, context) };
  };
  return {
    source: await create(server.url),
    traits: plugin.traits,
    unit: '@cluster',
    secrets: [server.password],
    waived: { 'looking writes nothing': wholeServer, replace: wholeServer },
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
        .update(textOf(server, target ?? database))
        .digest('hex'),
    change: async () => {
      await sql(server, database, 'DELETE FROM orders WHERE id % 3 = 0');
    },
    async dispose() {
      for (const name of await databasesOf(server))
        if (name.startsWith(database)) await sql(server, 'postgres', `DROP DATABASE "${name}" WITH (FORCE)`);
    },
  };
});
