import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { Source } from '@pgsilo/plugin';
import {
  folderForServer,
  serveFolder,
  startPostgres,
  type ThrowawayPostgres,
} from '@pgsilo/testkit/postgres';
import { describeSource } from '@pgsilo/testkit/vitest';
import plugin from '../src/index.ts';
import { contentOf, sourceOf, sql } from './cluster.ts';

let server: ThrowawayPostgres;
beforeAll(async () => {
  server = await startPostgres();
  await sql(
    server,
    'postgres',
    // More than what lies in the buffers of a connection, so that its server can be killed at work.
    `CREATE TABLE filler AS SELECT g AS id, repeat(md5(g::text), 30) AS text FROM generate_series(1, 24000) g`,
    `CREATE TABLE ticks AS SELECT 0 AS tick`,
  );
});
afterAll(() => server.stop());

const wholeServer =
  'The files of a live server are replaced by nothing; backup.test.ts shows what is refused.';

async function ofPgsilo(condition: string): Promise<string[]> {
  const rows = await sql<{ name: string }>(
    server,
    'postgres',
    `SELECT backend_type || ' ' || application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'pgsilo %' AND ${condition}`,
  );
  return rows.map(({ name }) => name);
}

describeSource('basebackup', async () => {
  const folder = folderForServer();
  let restores = 0;
  const create = async (url: string): Promise<Source> => {
    const source = await sourceOf({ url });
    return {
      ...source,
      // The suite does not know that a folder must be named.
      restore: (request, context) =>
        source.restore({ to: join(folder, `copy-${(restores += 1)}`), ...request }, context),
    };
  };
  return {
    source: await create(server.url),
    traits: plugin.traits,
    unit: '@cluster',
    secrets: [server.password],
    waived: {
      'twice the same':
        'Write-ahead log goes on and the list of the server holds times; backup.test.ts compares what comes back.',
      'looking writes nothing': wholeServer,
      replace: wholeServer,
    },
    // Nothing listens at port 1.
    unreachable: () => create(server.url.replace(`:${server.port}/`, ':1/')),
    async killProducer(label) {
      const [row] = await sql<{ ended: string }>(
        server,
        'postgres',
        `SELECT count(pg_terminate_backend(pid))::text AS ended FROM pg_stat_activity
          WHERE backend_type = 'walsender' AND application_name = 'pgsilo ${label}'`,
      );
      if (row?.ended !== '1') throw new Error('no server process is sending files');
    },
    running: () => ofPgsilo('true'),
    targets: async () => readdirSync(folder).map((name) => join(folder, name)),
    async contentOf(target) {
      const hash = (content: unknown): string =>
        createHash('sha256').update(JSON.stringify(content)).digest('hex');
      if (target === undefined) return hash(await contentOf(server));
      const served = await serveFolder(target, server.bin);
      try {
        return hash(await contentOf({ ...server, host: target, port: 5432 }));
      } finally {
        await served.stop();
      }
    },
    change: async () => {
      await sql(server, 'postgres', 'UPDATE ticks SET tick = tick + 1');
    },
    async dispose() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
});
