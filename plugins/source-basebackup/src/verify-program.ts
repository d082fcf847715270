import { isPgsiloError, PgsiloError, type Context } from '@pgsilo/plugin';
import { findTool, majorVersion, runTool, type Tool } from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** PostgreSQL's own program for it, or why there is none that can. */
export async function findVerifier(
  { programs }: Pick<SourceSetup, 'programs'>,
  serverVersion: string,
  signal: AbortSignal,
): Promise<Tool | string> {
  const major = majorVersion(serverVersion) ?? 0;
  try {
    const tool = await findTool('pg_verifybackup', major, programs, signal);
    // Another version cannot read the write-ahead log.
    return tool.major === major ? tool : `pg_verifybackup is of version ${tool.version}`;
  } catch (error) {
    if (!isPgsiloError(error) || !error.code.startsWith('source.tool')) throw error;
    return error.message;
  }
}

/** Has every file's checksum compared with the server's list, and the write-ahead log read. Throws `restore.mismatch`. */
export async function verifyFiles(tool: Tool, folder: string, { signal }: Context): Promise<void> {
  try {
    await runTool(tool, [folder], { doing: 'pg_verifybackup', signal });
  } catch (error) {
    if (!isPgsiloError(error) || error.code === 'aborted') throw error;
    throw new PgsiloError(
      'restore.mismatch',
      `the restored files are not what was backed up: ${error.message}`,
      {
        cause: error,
        hint: 'Use the copy in another sink (--from), or another backup.',
      },
    );
  }
}
