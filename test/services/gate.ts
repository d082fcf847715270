import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until, type TestServer } from './server.ts';

/** Stops a backup in the middle of the dump of one unit, for as long as a test needs. */
export interface Gate {
  /** YAML for `writePipeline`'s `transform`: the hold, then zstd. */
  readonly transform: string;
  /** Resolves when the first bytes of the dump have passed; pg_dump then waits for its reader, as the rest does not fit into any buffer. */
  held(): Promise<void>;
  open(): void;
  /** Makes it stop the next run too. */
  close(): void;
}

const plugin = join(import.meta.dirname, '..', 'fixtures', 'hold.ts');

/** @param after how many bytes of the dump pass before. */
export function gateFor(server: TestServer, unit: string, name: string, after = 0): Gate {
  const folder = join(server.folder, `gate-${name}`);
  return {
    transform: `"${plugin}"\n    unit: ${unit}\n    gate: "${folder}"\n    after: ${after}\n  - use: zstd`,
    held: () =>
      until(`the dump of ${unit} is half done`, () => existsSync(join(folder, 'held')), 60).then(
        () => undefined,
      ),
    open: () => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'open'), '');
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Adds rows to a tenant of the fleet so that its dump fits into no pipe and no buffer: 12 MB that do not get smaller. */
export async function makeLarge(server: TestServer, database: string): Promise<void> {
  await server.query(
    database,
    `CREATE TABLE app.ballast AS SELECT i, (SELECT string_agg(md5(i || '-' || j), '') FROM generate_series(1, 40) j) AS weight FROM generate_series(1, 9000) i`,
  );
}
