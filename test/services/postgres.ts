import { findServerPrograms } from '@pgsilo/testkit/postgres';
import { execa, ExecaError } from 'execa';
import { join } from 'node:path';

/** Where the programs of one major version are, server and clients. */
export interface PostgresPrograms {
  readonly major: number;
  readonly bin: string;
}

/** Why this machine cannot have a version. */
export interface UnavailablePostgres {
  readonly major: number;
  readonly unavailable: string;
}

const script = join(import.meta.dirname, 'install-postgres.sh');
/** Exit status of the script on a machine that it can install nothing on. */
const notHere = 69;

/** The PostgreSQL versions that tests can use now, each once: the newest of the system, then those that `installPostgres` has brought. */
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
  return [system, ...installed.filter(({ major }) => major !== system.major)];
}

/**
 * The programs of a major version, installed beside the system's where they are not there yet: about ten seconds.
 * Throws when the installation fails; a machine that it cannot be done on gives the reason.
 */
export async function installPostgres(major: 17 | 18): Promise<PostgresPrograms | UnavailablePostgres> {
  const there = (await availablePostgres()).find((programs) => programs.major === major);
  if (there) return there;
  try {
    const { stdout } = await execa('bash', [script, String(major)], { stderr: ['pipe', 'inherit'] });
    return { major, bin: stdout.trim() };
  } catch (error) {
    if (!(error instanceof ExecaError) || error.exitCode !== notHere) throw error;
    return { major, unavailable: String(error.stderr).trim() };
  }
}
