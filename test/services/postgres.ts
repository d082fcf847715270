import { findServerPrograms } from '@pgsilo/testkit/postgres';
import { execa, ExecaError } from 'execa';
import { join } from 'node:path';

/** Where the programs of one major version are, server and clients. */
export interface PostgresPrograms {
  readonly major: number;
  readonly bin: string;
}

const script = join(import.meta.dirname, 'install-postgres.sh');
/** Exit status of the script on a machine that it can install nothing on. */
const notHere = 69;

/** The PostgreSQL versions that tests can use now, each once: the newest of the system and those that `installPostgres` has brought. */
export async function availablePostgres(): Promise<PostgresPrograms[]> {
  const system = findServerPrograms();
  const { stdout } = await execa('bash', [script, '--list']);
  const installed = stdout
    .split('\n')
    .filter(Boolean)
    .map((line): PostgresPrograms => {
      const [major, bin] = line.split('\t');
      return { major: Number(major), bin: bin! };
    });
  return [system, ...installed.filter(({ major }) => major !== system.major)].sort(
    (a, b) => a.major - b.major,
  );
}

/**
 * The programs of a major version, installed beside the system's where they are not there yet: about ten seconds.
 * On a machine that they cannot be installed on, the reason. Throws when the installation fails.
 */
export async function installPostgres(
  major: 17 | 18,
): Promise<PostgresPrograms | { readonly unavailable: string }> {
  const there = (await availablePostgres()).find((programs) => programs.major === major);
  if (there) return there;
  try {
    const { stdout } = await execa('bash', [script, String(major)], { stderr: ['pipe', 'inherit'] });
    return { major, bin: stdout.trim() };
  } catch (error) {
    if (!(error instanceof ExecaError) || error.exitCode !== notHere) throw error;
    return { unavailable: String(error.stderr).trim() };
  }
}
