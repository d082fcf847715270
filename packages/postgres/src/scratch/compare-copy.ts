import { createReadStream } from 'node:fs';
import type { ArtifactView, Context } from '@pgsilo/plugin';
import { majorVersion, readArchive, readToc, type Toc, type TocEntry } from '../archive/index.ts';
import { produce } from '../child.ts';
import { childConnection, type ServerSettings } from '../connection.ts';
import { showName } from '../quoting.ts';
import { openSession } from '../session.ts';
import type { SourceSetup } from '../source-setup.ts';
import { findTool } from '../tools.ts';
import { compareSchemas, describeComparison, isSchema } from './schema-compare.ts';

export interface Copy {
  readonly server: ServerSettings;
  readonly database: string;
  /** The schema that the archive holds alone. */
  readonly schema: string | undefined;
}

/** Dumps the schema of a copy again and compares it with what the archive says of it. */
export async function compareCopy(
  setup: SourceSetup,
  { server, database, schema }: Copy,
  archive: ArtifactView,
  context: Context,
): Promise<{ readonly compared: readonly string[]; readonly differences: readonly string[] }> {
  const wanted = await readToc(createReadStream(await archive.spool()), isSchema);
  const { toc: found, major } = await dumpSchema(setup, server, database, isSchema, context);
  const definitions = majorVersion(wanted.header.dumpVersion) === major;
  return {
    compared: [describeComparison(wanted.entries, definitions)],
    differences: compareSchemas(wanted.entries, found.entries, {
      definitions,
      ...(schema === undefined ? {} : { only: schema }),
    }),
  };
}

/** What pg_dump says of a copy's definitions, and the major version of that pg_dump. */
export async function dumpSchema(
  setup: SourceSetup,
  server: ServerSettings,
  database: string,
  keep: (entry: TocEntry) => boolean,
  context: Context,
): Promise<{ readonly toc: Toc; readonly major: number }> {
  const session = await openSession(server, {
    database,
    applicationName: 'pgsilo compare',
    purpose: 'compare the schema of a restored copy',
    signal: context.signal,
  });
  const { major, settings } = session;
  await session.close();
  const tool = await findTool('pg_dump', major, setup.programs, context.signal);
  const [address] = settings.addresses;
  const far = setup.programs.exec ? { host: address?.host, port: address?.port } : undefined;
  const connection = childConnection(settings, database, 'pgsilo compare', far);
  const args = ['--format=custom', '--compress=0', '--schema-only', '--no-password', connection.argument];
  const body = produce(tool, args, {
    doing: `pg_dump --schema-only of the restored copy ${showName(database)}`,
    env: connection.env,
    signal: context.signal,
  });
  const { toc } = await readArchive(body, { keep });
  return { toc, major: tool.major };
}
