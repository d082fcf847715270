import type { Body, ReadContext } from '@pgsilo/plugin';
import {
  connectionForPrograms, produce, quoteIdentifier, refuseStandstill, showName, type Attempt, type Session, type Tool,
} from '@pgsilo/postgres'; // prettier-ignore
import { databaseOf, type SourceSetup } from './setup.ts';

/** What pg_dump is to dump. */
export interface Extent {
  readonly snapshot: string;
  /** These alone; undefined: the whole database. */
  readonly schemas: readonly string[] | undefined;
  /** With `schemas`: extensions that were made in them, which pg_dump adds only when it is told to. */
  readonly extensions: readonly string[];
  readonly excluded: readonly string[];
  /** Schemas whose definitions are read and whose rows are not. */
  readonly withoutRows: readonly string[];
}

/** The archive of a pg_dump that has exited well, or an error. `session` sees the same snapshot and holds its locks. */
export function dump(
  setup: SourceSetup,
  tool: Tool,
  session: Session,
  attempt: Attempt,
  extent: Extent,
  context: ReadContext,
): Body {
  const database = databaseOf(setup);
  const connection = connectionForPrograms(setup, session.settings, database, attempt.applicationName);
  return attempt.watch(
    refuseStandstill(
      produce(tool, [...optionsOf(setup, tool, extent), connection.argument], {
        doing: `pg_dump of database ${showName(database)}`,
        env: connection.env,
        signal: attempt.signal,
        onStderr: (line) => context.log.warn(line, { database }),
      }),
      session,
      attempt.applicationName,
      context,
    ),
  );
}

/** Names are patterns for pg_dump, and in double quotes each means exactly itself. */
function optionsOf(setup: SourceSetup, tool: Tool, extent: Extent): readonly string[] {
  const { schemas, extensions, excluded, withoutRows } = extent;
  return [
    '--format=custom',
    // The pipeline compresses; twice would cost more and save nothing.
    '--compress=0',
    '--no-password',
    `--snapshot=${extent.snapshot}`,
    `--lock-wait-timeout=${Math.ceil(setup.options.lockTimeout)}`,
    // A restore runs ANALYZE: statistics of the old server's version would only be thrown away.
    ...(tool.major >= 18 ? ['--no-statistics'] : []),
    ...(schemas ? ['--strict-names', ...schemas.map((name) => `--schema=${quoteIdentifier(name)}`)] : []),
    ...(schemas ? extensions.map((name) => `--extension=${quoteIdentifier(name)}`) : []),
    ...excluded.map((name) => `--exclude-schema=${quoteIdentifier(name)}`),
    ...withoutRows.map((name) => `--exclude-table-data=${quoteIdentifier(name)}.*`),
  ];
}
