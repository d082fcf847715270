import { plural, type Session } from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** How the schemas are read, and why, for a person. */
export interface Strategy {
  readonly kind: 'one-pass' | 'per-schema';
  readonly why: string;
}

/** From more schemas on, each with a pg_dump that reads the catalog of all, one pass is the faster way whatever their sizes. */
export const few: number = 16;
/** Bytes from which on a schema's rows take longer than the start of a pg_dump of its own by so much that several at a time are worth it. */
export const large: number = 2 ** 30;
const gigabyte = 1e9;

/** @param bytes what the schemas hold on disk, by name; asked for only where it decides. */
export async function chooseStrategy(
  setup: SourceSetup,
  schemas: readonly string[],
  bytes: () => Promise<ReadonlyMap<string, number>>,
): Promise<Strategy> {
  const { strategy, largeObjects } = setup.options;
  const count = plural(schemas.length, 'schema');
  const onePass = (why: string): Strategy => ({
    kind: 'one-pass',
    why: `One pass of pg_dump over the database serves ${count}, at one moment: ${why}.`,
  });
  const perSchema = (why: string): Strategy => ({
    kind: 'per-schema',
    why: `A pg_dump for each of ${count}, all of them at one moment, several at a time: ${why}.`,
  });
  if (strategy === 'one-pass') return onePass('strategy: one-pass');
  if (strategy === 'per-schema') return perSchema('strategy: per-schema');
  if (typeof largeObjects !== 'string') return onePass('large objects are told apart there alone');
  if (schemas.length < 2) return onePass('there is nothing to do at the same time');
  if (schemas.length > few) return onePass(`more than ${few}, and each pg_dump reads the catalog of all`);
  const total = [...(await bytes()).values()].reduce((sum, each) => sum + each, 0);
  const size = `they hold ${(total / gigabyte).toFixed(1)} GB`;
  if (total < large * schemas.length) return onePass(size);
  return perSchema(`they are few, and ${size}`);
}

/** Bytes on disk of each schema's tables, indexes left out: what has to be read. */
export async function schemaSizes(
  session: Session,
  schemas: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await session.query<{ name: string; bytes: number }>(
    `SELECT n.nspname::text AS name, coalesce(sum(pg_table_size(c.oid)), 0)::float8 AS bytes
       FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
      WHERE n.nspname = ANY ($1::text[]::name[]) GROUP BY 1`,
    [schemas],
  );
  return new Map(rows.map(({ name, bytes }) => [name, bytes]));
}
