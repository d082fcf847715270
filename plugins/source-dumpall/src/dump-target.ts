import type { Context, RestoreRequest } from '@pgsilo/plugin';
import {
  artifactOf,
  downgradeProblem,
  majorVersion,
  templateHasRules,
  throwProblems,
  type Session,
  type Tool,
} from '@pgsilo/postgres';
import { createReadStream } from 'node:fs';
import type { Contents } from './contents.ts';
import { readContents } from './inspect.ts';
import { findPsql } from './psql.ts';
import { artifactName } from './read.ts';
import type { SourceSetup } from './setup.ts';

/** A dump that was read whole, and what of the server to restore into counts for all of its databases. */
export interface DumpTarget {
  readonly setup: SourceSetup;
  readonly request: RestoreRequest;
  readonly context: Context;
  /** A session outside all databases that the restore makes. */
  readonly admin: Session;
  /** Of all sessions of this restore. */
  readonly applicationName: string;
  readonly tool: Tool;
  /** Path of the whole dump. */
  readonly file: string;
  readonly contents: Contents;
  /** Tablespaces of the server. */
  readonly tablespaces: ReadonlySet<string>;
  /** Whether template0 has ICU rules that a new database must not take over unasked. */
  readonly templateRules: boolean;
}

/** Fetches and reads the dump, and looks for what stands in the way of restoring any of it. */
export async function openDumpTarget(
  setup: SourceSetup,
  request: RestoreRequest,
  admin: Session,
  applicationName: string,
  context: Context,
): Promise<DumpTarget> {
  const tool = await findPsql(setup, admin.major, context.signal);
  // pg_dump writes for servers of its own version, whatever that of the server was which it read.
  const writer = majorVersion(request.backup.facts.tool.replace(/^\w+ /, ''));
  const downgrade = downgradeProblem(writer, admin.major);
  throwProblems(downgrade ? [downgrade] : []);
  const file = await request.step('fetch the backup and check its hashes', () =>
    artifactOf(request.backup, artifactName).spool(),
  );
  const contents = await request.step('read the dump', () => readContents(createReadStream(file), context));
  return {
    setup,
    request,
    context,
    admin,
    applicationName,
    tool,
    file,
    contents,
    tablespaces: await readTablespaces(admin),
    templateRules: await templateHasRules(admin),
  };
}

export async function readTablespaces(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ name: string }>('SELECT spcname::text AS name FROM pg_tablespace');
  return new Set(rows.map((row) => row.name));
}
