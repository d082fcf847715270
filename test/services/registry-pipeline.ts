import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from './server.ts';

export interface RegistryPipeline {
  readonly name: string;
  /** The registry's database; default `registry`. */
  readonly database?: string;
  readonly query: string;
}

/** Writes a pipeline file with any registry query and returns its name; its sink is `store/<name>`. */
export function writeRegistryPipeline(
  server: TestServer,
  { name, database = 'registry', query }: RegistryPipeline,
): string {
  const file = `${name}.yaml`;
  writeFileSync(
    join(server.folder, file),
    `pipeline: ${name}
source:
  use: database-per-tenant
  connection: \${env:VIGIA_URL}
  registry:
    database: ${JSON.stringify(database)}
    query: ${JSON.stringify(query)}
transforms:
  - use: zstd
sinks:
  - { use: local, path: ./store/${name} }
limits: { backoff: 100ms }
`,
  );
  return file;
}
