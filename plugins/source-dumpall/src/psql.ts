import { PgsiloError, type Body, type Context } from '@pgsilo/plugin';
import {
  childConnection,
  findTool,
  runTool,
  showName,
  type ServerSettings,
  type Tool,
} from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/**
 * The first minor release of each major whose psql can be forbidden to run commands that stand in its input (`\restrict`): those of August 2025, CVE-2025-8714.
 * Later majors have it from the beginning.
 */
const restricting: Readonly<Record<number, number>> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 };

/** The psql for a server. Throws `source.tool-version` when it cannot be kept from running commands. */
export async function findPsql(setup: SourceSetup, serverMajor: number, signal: AbortSignal): Promise<Tool> {
  const tool = await findTool('psql', serverMajor, setup.programs, signal);
  const least = restricting[tool.major];
  const tooOld = least === undefined ? tool.major < 13 : Number(tool.version.split('.')[1]) < least;
  if (!tooOld) return tool;
  throw new PgsiloError(
    'source.tool-version',
    `psql ${tool.version} runs commands that stand in a dump's data: it does not know \\restrict`,
    {
      hint: `Update the client programs: psql is safe from ${Object.entries(restricting)
        .map(([major, minor]) => `${major}.${minor}`)
        .join(', ')} and 18 on.`,
    },
  );
}

export interface PsqlJob {
  readonly setup: SourceSetup;
  readonly tool: Tool;
  /** The server, narrowed to the address that answered. */
  readonly server: ServerSettings;
  /** Whether that is another server than the pipeline's: the far side of `exec` then has to be told where. */
  readonly elsewhere: boolean;
  readonly database: string;
  readonly applicationName: string;
}

/** Runs statements in one database and stops at the first error. psql is restricted before it reads the first of them, and never told the key again. */
export async function runPsql(job: PsqlJob, statements: Body, context: Context): Promise<void> {
  const { setup, tool, database } = job;
  const { exec, execHost, execPort } = setup.programs;
  const address = job.server.addresses[0]!;
  const place = job.elsewhere
    ? { host: address.host, port: address.port }
    : { host: execHost, port: execPort };
  const connection = childConnection(job.server, database, job.applicationName, exec ? place : undefined);
  const args = [
    '--no-psqlrc',
    '--no-password',
    '--quiet',
    '--set=ON_ERROR_STOP=1',
    '--output=/dev/null',
    '--file=-',
    connection.argument,
  ];
  const said: string[] = [];
  await runTool(tool, args, {
    doing: `psql in database ${showName(database)}`,
    env: connection.env,
    signal: context.signal,
    input: restricted(statements),
    onStderr: (line) => {
      if (said.push(line) > mostLines) said.shift();
    },
  });
  // Of a failure they are the error's words.
  for (const line of said) context.log.warn(line, { database });
}

const mostLines = 100;

async function* restricted(statements: Body): Body & AsyncGenerator<Uint8Array> {
  const key = crypto.randomUUID().replaceAll('-', '');
  // What a role or database has set must not get in the way.
  yield Buffer.from(
    `\\restrict ${key}\nSET default_transaction_read_only = off; SET idle_session_timeout = 0;\n`,
  );
  yield* statements;
}
