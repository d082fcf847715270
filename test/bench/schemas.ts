import { mkdir, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer, type TestServer } from '../services/server.ts';
import { cleanEnvironment } from '../services/pgsilo.ts';
import { measure, median, type Measured } from './measure.ts';

export interface SchemasOptions {
  readonly rounds: number;
  readonly schemas: number;
}

const tables = 8;
/** Schemas that the loop is tried with: each costs as much as any other, because each call reads the catalog of all. */
const sample = 20;
const megabyte = 1e6;

const pipelineFile = `pipeline: schemas
source:
  use: schema-per-tenant
  connection: \${env:SCHEMAS_URL}
  match: ["tenant_*"]
transforms:
  - use: zstd
sinks:
  - { use: local, path: store }
`;

/**
 * Backs up a database of many schemas by pgsilo, by one bare pg_dump of the whole, and by `pg_dump -n` in a loop; in turns, after one round that does not count. pgsilo makes each of its
 * files durable, which the others do not: what that costs is measured by itself, for files of the same sizes, one after another.
 */
export async function benchSchemas({ rounds, schemas }: SchemasOptions): Promise<void> {
  const server = await startServer({
    settings: {
      shared_buffers: '1GB',
      max_wal_size: '4GB',
      autovacuum: false,
      max_locks_per_transaction: 64 + schemas,
    },
  });
  try {
    process.stderr.write(`making ${schemas} schemas of ${tables} tables …\n`);
    await makeSchemas(server, schemas);
    const env = {
      ...cleanEnvironment(),
      SCHEMAS_URL: server.url,
      PGHOST: server.host, PGPORT: String(server.port), PGUSER: server.user, PGPASSWORD: server.password, PGDATABASE: 'postgres',
      PATH: `${server.bin}:${cleanEnvironment()['PATH']}`,
    }; // prettier-ignore
    const own: Measured[] = [];
    const bare: number[] = [];
    const loop: number[] = [];
    const durable: number[] = [];
    let files = 0;
    for (let round = 0; round <= rounds; round += 1) {
      const folder = join(server.folder, `round-${round}`);
      await mkdir(folder);
      await writeFile(join(folder, 'schemas.yaml'), pipelineFile);
      const pgsilo = await measure('pgsilo', ['backup', 'schemas.yaml', '--quiet'], { env, cwd: folder });
      const sizes = await sizesIn(join(folder, 'store'));
      const fsyncs = await timeToSync(join(folder, 'sync'), sizes);
      const whole = await measure('pg_dump', ['-Fc', '-Z0', '-f', 'whole.dump'], { env, cwd: folder });
      const each = await measure(
        'bash',
        ['-c', `set -eu\nfor i in $(seq 1 ${sample}); do pg_dump -Fc -n "tenant_$i" -f "one-$i.dump"; done`],
        { env, cwd: folder },
      );
      await rm(folder, { recursive: true });
      process.stderr.write(
        `round ${round}: pgsilo ${pgsilo.seconds.toFixed(2)} s, whole ${whole.seconds.toFixed(2)} s, fsync ${fsyncs.toFixed(2)} s, ${sample} by -n ${each.seconds.toFixed(2)} s\n`,
      );
      if (round === 0) continue;
      files = sizes.length;
      own.push(pgsilo);
      bare.push(whole.seconds);
      durable.push(fsyncs);
      loop.push((each.seconds / sample) * schemas);
    }
    const seconds = median(own.map((one) => one.seconds));
    const floor = median(bare.map((one, index) => one + durable[index]!));
    const peak = Math.max(...own.map((one) => one.peakBytes));
    const say = (line: string): void => void process.stdout.write(`${line}\n`);
    say(`${schemas} schemas of ${tables} tables; medians of ${rounds} rounds`);
    say(`pgsilo   ${seconds.toFixed(2).padStart(8)} s   one pass, split, zstd, ${files} durable files`);
    say(
      `bare     ${median(bare).toFixed(2).padStart(8)} s   pg_dump -Fc -Z0 of the whole database, not durable`,
    );
    say(
      `fsync    ${median(durable).toFixed(2).padStart(8)} s   writing ${files} files of pgsilo's sizes durably, one after another`,
    );
    say(
      `loop     ${median(loop).toFixed(2).padStart(8)} s   pg_dump -n for each: ${sample} measured, the rest extrapolated`,
    );
    say(`pgsilo is ${(median(loop) / seconds).toFixed(1)} times as fast as the loop (wanted: 50 or more)`);
    say(`pgsilo takes ${(seconds / floor).toFixed(2)} times as long as bare and fsync (wanted: under 2)`);
    say(`pgsilo's process held ${(peak / megabyte).toFixed(0)} MB at most`);
  } finally {
    await server.stop();
  }
}

async function makeSchemas(server: TestServer, schemas: number): Promise<void> {
  const statements = [
    `DO $$ BEGIN FOR i IN 1..${schemas} LOOP EXECUTE format('CREATE SCHEMA tenant_%s', i); END LOOP; END $$`,
  ];
  for (let table = 1; table <= tables; table += 1) {
    const parent = table > 1 ? `, parent bigint REFERENCES tenant_%1$s.table_${table - 1}` : '';
    const make = `CREATE TABLE tenant_%1$s.table_${table} (id bigserial PRIMARY KEY, name text NOT NULL, made timestamptz NOT NULL DEFAULT now()${parent})`;
    const index = `CREATE INDEX ON tenant_%1$s.table_${table} (name)`;
    const fill = `INSERT INTO tenant_%1$s.table_${table} (name) SELECT 'name ' || n FROM generate_series(1, 20) n`;
    // A batch is a transaction, and each of its tables a few locks.
    for (let first = 1; first <= schemas; first += 500)
      statements.push(
        `DO $$ BEGIN FOR i IN ${first}..${Math.min(schemas, first + 499)} LOOP ${[make, index, fill].map((text) => `EXECUTE format('${text.replaceAll("'", "''")}', i);`).join(' ')} END LOOP; END $$`,
      );
  }
  for (const statement of [...statements, 'VACUUM ANALYZE', 'CHECKPOINT'])
    await server.query('postgres', statement);
}

async function sizesIn(folder: string): Promise<number[]> {
  const sizes: number[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) sizes.push((await stat(join(entry.parentPath, entry.name))).size);
  return sizes;
}

/** Seconds that it takes to write files of these sizes so that they survive a power cut. */
async function timeToSync(folder: string, sizes: readonly number[]): Promise<number> {
  await mkdir(folder);
  const began = performance.now();
  for (const [index, size] of sizes.entries()) {
    const file = await open(join(folder, String(index)), 'wx');
    await file.writeFile(Buffer.alloc(size));
    await file.sync();
    await file.close();
  }
  return (performance.now() - began) / 1000;
}
