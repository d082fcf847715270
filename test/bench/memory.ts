import { writeFile } from 'node:fs/promises';
import type { TestServer } from '../services/server.ts';
import { measure } from './measure.ts';
import { fleetPipeline, withServer } from './server.ts';

const megabyte = 1e6;
/** Rows of about a kilobyte that do not compress. */
const rowsPer40MB = 38_000;

/** The most memory that pgsilo's process holds while it backs up, reads back and restores a small and a large database. */
export async function benchMemory(): Promise<void> {
  await withServer(async (server, env) => {
    for (const [name, times] of [
      ['tenant_40MB', 1],
      ['tenant_4GB', 100],
    ] as const) {
      process.stderr.write(`making ${name} …\n`);
      await createDatabase(server, name, times);
      const cwd = server.folder;
      await writeFile(`${cwd}/fleet.yaml`, fleetPipeline);
      const [row] = await server.query('postgres', 'SELECT pg_database_size($1)::text AS bytes', [name]);
      process.stdout.write(`${name}: ${(Number(row!['bytes']) / megabyte).toFixed(0)} MB in the server\n`);
      for (const args of [
        ['backup', 'fleet.yaml', '--only', name, '--quiet'],
        ['verify', 'fleet.yaml', name, '--level', 'decode', '--quiet'],
        ['restore', 'fleet.yaml', name, '--to', `${name}_copy`, '--quiet'],
      ]) {
        const { seconds, peakBytes } = await measure('pgsilo', args, { env, cwd });
        const figures = `${(peakBytes / megabyte).toFixed(0).padStart(4)} MB at most, ${seconds.toFixed(1)} s`;
        process.stdout.write(`  ${args[0]!.padEnd(8)} ${figures} (wanted: under 250 MB)\n`);
      }
    }
  });
}

async function createDatabase(server: TestServer, name: string, times: number): Promise<void> {
  await server.query('postgres', `CREATE DATABASE "${name}"`);
  await server.query(
    name,
    `CREATE UNLOGGED TABLE document (id bigint, body text);
     ALTER TABLE document ALTER body SET STORAGE EXTERNAL;
     CREATE UNLOGGED TABLE seed AS
       SELECT n, (SELECT string_agg(md5(n::text || m::text), '') FROM generate_series(1, 31) m) AS body
       FROM generate_series(1, ${rowsPer40MB}) n`,
  );
  for (let round = 0; round < times; round += 1)
    await server.query(name, `INSERT INTO document SELECT ${round * rowsPer40MB} + n, body FROM seed`);
  await server.query(name, 'DROP TABLE seed');
}
