import { toPgsiloError, type RestoreOutcome } from '@pgsilo/plugin';
import { quoteIdentifier, showName, dropDatabase } from '@pgsilo/postgres';
import type { PreparedRestore } from './prepared-restore.ts';

/** What is done after the restored database has its name, and the report. Never throws: the restore is whole by now. */
export async function finish(
  prepared: PreparedRestore,
  compared: string,
  warnings: string[],
): Promise<RestoreOutcome> {
  const { request, names, admin } = prepared;
  const target = names.target;
  if (!prepared.swaps) {
    const isLive = request.replace || target === request.backup.unit.origin['database'];
    const next = isLive
      ? ['The application can connect to it again.']
      : [
          `Look into it: psql ${shown(target)}`,
          `Remove it when it is no longer needed: DROP DATABASE ${quoteIdentifier(target)};`,
        ];
    return { target, compared, warnings, next };
  }
  if (request.dropOld) {
    try {
      await request.step('drop the replaced database', () => dropDatabase(admin, names.kept));
      return {
        target,
        compared,
        warnings,
        next: ['Applications that were connected reconnect by themselves or need a restart.'],
      };
    } catch (error) {
      warnings.push(
        `the replaced database could not be dropped and is kept as ${showName(names.kept)}: ${toPgsiloError(error).message}`,
      );
    }
  }
  return {
    target,
    compared,
    kept: names.kept,
    warnings,
    next: [
      'Applications that were connected reconnect by themselves or need a restart.',
      `The replaced database is kept as ${showName(names.kept)}; when nobody misses it: DROP DATABASE ${quoteIdentifier(names.kept)};`,
    ],
  };
}

function shown(name: string): string {
  return /^[A-Za-z0-9_]+$/.test(name) ? name : `with the database ${quoteIdentifier(name)}`;
}
