import type { Context, History, Plan, Unit } from '@pgsilo/plugin';
import { openSession } from '@pgsilo/postgres';
import { requireVersion } from './cluster-map.ts';
import type { SourceSetup } from './setup.ts';

/** The whole server. */
export const clusterUnit: Unit = { name: '@cluster', labels: {}, origin: {} };

/** One unit, one job: a base backup is of all of the server. */
export async function planCluster(setup: SourceSetup, history: History, context: Context): Promise<Plan> {
  const session = await openSession(setup.settings, {
    applicationName: 'pgsilo plan',
    purpose: 'look at the server',
    signal: context.signal,
  });
  try {
    requireVersion(session);
    const [row] = await session.query<{ bytes: string | null }>(
      `SELECT (SELECT sum(CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') OR has_tablespace_privilege(oid, 'CREATE')
                               THEN pg_tablespace_size(oid) END)::text FROM pg_tablespace) AS bytes`,
    );
    const known = row?.bytes ? Number(row.bytes) : history.lastBytes(clusterUnit.name);
    const estimate = known ? { estimatedBytes: known } : {};
    return {
      jobs: [{ id: 'cluster', units: [clusterUnit], ...estimate }],
      missing: [],
      warnings: [],
      notes: ['one base backup of all files, cut by database; all of it is of one moment, its end'],
    };
  } finally {
    await session.close();
  }
}
