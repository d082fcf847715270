import {
  PgsiloError,
  type BackupView,
  type Body,
  type ReadContext,
  type SourceItem,
  type Unit,
} from '@pgsilo/plugin';
import {
  findTool,
  provedByTool,
  readsVersion,
  showName,
  takeSchemasFingerprint,
  versionsRead,
  type Session,
  type Tool,
} from '@pgsilo/postgres';
import { readNeeds } from './about.ts';
import type { SourceSetup } from './setup.ts';
import type { UnitReader } from './unit-reader.ts';

/** A unit whose archive is of a version that is not understood. */
export interface UnreadUnit {
  readonly unit: Unit;
  /** Those that are in it. */
  readonly schemas: readonly string[];
  /** Of the archive's format: `1.17`. */
  readonly version: string;
  readonly archive: Body;
}

/** What one pass is refused with: it has to understand the archive that it splits. */
export function notInOnePass(version: string, tool: Tool): PgsiloError {
  return new PgsiloError(
    'source.tool-version',
    `${tool.name} ${tool.version} writes archives of format version ${version}, and pgsilo splits those of ${versionsRead}: one pass cannot serve all schemas`,
    {
      hint: 'Set `strategy: per-schema`: each archive is then stored as it comes, and is restored into a new database. Or name an older pg_dump that knows the server (bin:), or look for a newer pgsilo.',
    },
  );
}

/** Stores an archive as it comes, once pg_restore has read all of it; what it should hold is counted on the server, in the same snapshot. */
export async function* readAsItComes(
  setup: SourceSetup,
  session: Session,
  reader: UnitReader,
  { unit, schemas, version, archive }: UnreadUnit,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  const { fingerprint: kind } = setup.options;
  const tool = await findTool('pg_restore', session.major, setup.programs, context.signal);
  context.log.warn(
    `the archive of ${showName(unit.name)} is of format version ${version}, which pgsilo does not read: it is stored as it comes, proved by ${tool.name} ${tool.version}, and its rows are counted on the server`,
  );
  const body = provedByTool(archive, {
    tool,
    signal: context.signal,
    onStderr: (line) => context.log.warn(line),
  });
  const fingerprint =
    kind === 'none' ? undefined : await takeSchemasFingerprint(session, schemas, kind, context);
  yield* reader.asItCame(unit, { body, version }, fingerprint);
}

/** The version of a backup's archives, where they were not understood when it was made and still are not. */
export function unreadVersion({ facts }: BackupView): string | undefined {
  const version = readNeeds(facts.about)?.archiveVersion;
  const [major, minor] = (version ?? '').split('.').map(Number);
  return version === undefined || readsVersion(major!, minor!) ? undefined : version;
}

export function describeUnread(version: string): string {
  return `its archive is of format version ${version}, and pgsilo reads ${versionsRead}`;
}
