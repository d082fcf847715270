import { anyGlob, isWorkingName, listDatabases, type Session } from '@pgsilo/postgres';
import type { Options } from './options.ts';

/** The databases of a server, as pg_dumpall treats them. */
export interface DatabasesThere {
  readonly dumped: readonly string[];
  /** Left out by `excludeDatabase`, and what other restores work in. */
  readonly excluded: readonly string[];
  /** Those that allow no connections: pg_dumpall leaves them out without a word. */
  readonly silent: readonly string[];
  /** Those of `dumped` at which pg_dumpall gives up, because their names cannot stand in a line for psql. */
  readonly undumpable: readonly string[];
}

export async function readDatabases(session: Session, options: Options): Promise<DatabasesThere> {
  const none: DatabasesThere = { dumped: [], excluded: [], silent: [], undumpable: [] };
  if (options.rolesOnly || options.globalsOnly) return none;
  const matches = anyGlob(options.excludeDatabase);
  const all = [...(await listDatabases(session)).values()].filter(({ name }) => name !== 'template0');
  const names = (some: typeof all): string[] => some.map(({ name }) => name);
  const excluded = all.filter(({ name }) => matches(name) || isWorkingName(name));
  const wanted = all.filter((one) => !excluded.includes(one));
  // A connection limit of -2 marks what an interrupted DROP DATABASE left.
  const reachable = wanted.filter((one) => one.allowsConnections && one.connectionLimit !== -2);
  const silent = wanted.filter((one) => !reachable.includes(one));
  const dumped = names(reachable);
  return {
    dumped,
    excluded: names(excluded),
    silent: names(silent),
    undumpable: dumped.filter((name) => /[\r\n]/.test(name)),
  };
}

/** A name as a pattern of psql that fits nothing else. */
export function exactPattern(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
