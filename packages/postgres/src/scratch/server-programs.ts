import { execFile } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PgsiloError, throwIfAborted } from '@pgsilo/plugin';
import { isProgram, usualFolders } from '../program-folders.ts';

const run = promisify(execFile);
const probeTimeout = 60_000;

/**
 * The folder of `initdb` and `postgres` of exactly this major version: a copy in a later one would prove less than it seems to.
 * @param bin where the client programs are taken from, which is where the server's are looked for first.
 * Throws `source.tool-missing`.
 */
export async function findServerPrograms(
  major: number,
  bin: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const folders = [...(bin === undefined ? [] : [bin]), ...usualFolders()]
    .filter((folder) => isProgram(join(folder, 'initdb')))
    // A folder in PATH may hold links to some of the programs only.
    .map((folder) => dirname(realpathSync(join(folder, 'initdb'))))
    .filter((folder) => isProgram(join(folder, 'postgres')));
  const others = new Set<number>();
  for (const folder of new Set(folders)) {
    throwIfAborted(signal);
    const found = await majorOf(join(folder, 'postgres'));
    if (found === major) return folder;
    if (found !== undefined) others.add(found);
  }
  const instead = others.size === 0 ? '' : `; there is version ${[...others].sort().join(', ')}`;
  throw new PgsiloError(
    'source.tool-missing',
    `no PostgreSQL ${major} server (initdb, postgres) is installed on this machine to restore into${instead}`,
    {
      hint:
        `Install its package (Debian and Ubuntu: apt-get install postgresql-${major}; RHEL: dnf install postgresql${major}-server; macOS: brew install postgresql@${major}), ` +
        'or name a server of that version for copies in the pipeline file: scratch: { connection: "${env:SCRATCH_URL}" }.',
    },
  );
}

/** Undefined: it does not run. */
async function majorOf(program: string): Promise<number | undefined> {
  try {
    const { stdout } = await run(program, ['--version'], { timeout: probeTimeout, env: {} });
    const text = /(\d+)(?:\.\d+|devel|beta\d|rc\d)/.exec(stdout)?.[1];
    return text === undefined ? undefined : Number(text);
  } catch {
    return undefined;
  }
}
