import { startServer, type TestServer } from '../services/server.ts';
import { cleanEnvironment } from '../services/pgsilo.ts';

/** Runs `work` with a server that is large enough for a benchmark, and the environment in which pgsilo and the stock programs find it. */
export async function withServer(
  work: (server: TestServer, env: NodeJS.ProcessEnv) => Promise<void>,
): Promise<void> {
  const server = await startServer({
    settings: { shared_buffers: '1GB', max_wal_size: '4GB', autovacuum: false },
  });
  try {
    const own = cleanEnvironment();
    await work(server, {
      ...own,
      FLEET_URL: server.url,
      PGHOST: server.host,
      PGPORT: String(server.port),
      PGUSER: server.user,
      PGPASSWORD: server.password,
      PATH: `${server.bin}:${own['PATH']}`,
    });
  } finally {
    await server.stop();
  }
}

/** Databases `tenant_…` to one folder, compressed by zstd. */
export const fleetPipeline = `pipeline: fleet
source:
  use: database-per-tenant
  connection: \${env:FLEET_URL}
  match: ["tenant_*"]
  globals: false
transforms:
  - use: zstd
sinks:
  - { use: local, path: store }
`;
