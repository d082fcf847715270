import type { BackupView } from '@pgsilo/plugin';
import { majorVersion } from '../archive/index.ts';
import { throwProblems, type Problem } from './problems.ts';

/** First server that knows what pg_restore says before anything else to restore an archive of its own version. */
const firstOfNewPreamble = 17;

/** Why a backup of one server cannot be restored into another, of an older version; undefined when it may be tried. Both as major versions. */
export function downgradeProblem(from: number | undefined, to: number): Problem | undefined {
  if (from === undefined || from < firstOfNewPreamble || to >= firstOfNewPreamble) return undefined;
  return {
    code: 'restore.refused',
    message: `the backup is of PostgreSQL ${from}, the server to restore into is of version ${to}: PostgreSQL cannot go back to a version before ${firstOfNewPreamble}`,
    hint: `Restore into a server of version ${from} or later.`,
  };
}

/** Throws `restore.refused` where a server of this major version cannot take the backup. */
export function refuseDowngrade({ facts }: BackupView, to: number): void {
  const downgrade = downgradeProblem(majorVersion(facts.server.version), to);
  throwProblems(downgrade ? [downgrade] : []);
}
