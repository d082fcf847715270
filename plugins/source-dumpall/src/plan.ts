import { type Context, type History, type Plan, type Unit } from '@pgsilo/plugin';
import { databaseSizes, listed, openSession, showName } from '@pgsilo/postgres';
import { readDatabases, type DatabasesThere } from './databases.ts';
import type { SourceSetup } from './setup.ts';

/** The whole server. */
export const clusterUnit: Unit = { name: '@cluster', labels: {}, origin: {} };

/** One unit, one job: pg_dumpall goes over all of the server. */
export async function planCluster(setup: SourceSetup, history: History, context: Context): Promise<Plan> {
  const session = await openSession(setup.settings, {
    applicationName: 'pgsilo plan',
    purpose: 'list the databases',
    signal: context.signal,
  });
  try {
    const databases = await readDatabases(session, setup.options);
    const last = history.lastBytes(clusterUnit.name);
    const sizes = last === undefined ? await databaseSizes(session, databases.dumped, context) : new Map();
    const known: number = last ?? [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
    const estimate = known > 0 ? { estimatedBytes: known } : {};
    return {
      jobs: [{ id: 'cluster', units: [clusterUnit], ...estimate }],
      missing: [],
      warnings: warningsOf(databases),
    };
  } finally {
    await session.close();
  }
}

function warningsOf({ dumped, silent, undumpable }: DatabasesThere): readonly string[] {
  const warnings: string[] = [];
  if (undumpable.length > 0) warnings.push(undumpableMessage(undumpable));
  if (silent.length > 0)
    warnings.push(`pg_dumpall leaves out databases that allow no connections: ${shown(silent)}`);
  if (dumped.length > 1)
    warnings.push(
      `${dumped.length} databases share no snapshot: pg_dumpall reads them one after another, each as it is by then`,
    );
  return warnings;
}

/** Why all of pg_dumpall fails because of a name. */
export function undumpableMessage(names: readonly string[]): string {
  return `pg_dumpall cannot dump a database whose name holds a newline or carriage return: ${shown(names)}`;
}

export const undumpableHint =
  'ALTER DATABASE … RENAME TO …, or leave it out with excludeDatabase; database-per-tenant backs it up as it is.';

function shown(names: readonly string[]): string {
  return listed(names.map(showName));
}
