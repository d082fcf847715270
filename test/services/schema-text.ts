import { execa } from 'execa';
import pg from 'pg';
import type { TestServer } from './server.ts';

/** A schema as pg_dump tells it, definitions and rows; twice the same schema is twice the same text. */
export async function schemaTextOf(server: TestServer, database: string, schema: string): Promise<string> {
  const { stdout } = await execa(
    `${server.bin}/pg_dump`,
    [
      '--restrict-key=x',
      '--strict-names',
      `--schema=${pg.escapeIdentifier(schema)}`,
      `--dbname=${server.urlOf(database)}`,
    ],
    { maxBuffer: 100e6 },
  );
  return stdout;
}
