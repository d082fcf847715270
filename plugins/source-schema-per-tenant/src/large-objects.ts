import { PgsiloError } from '@pgsilo/plugin';
import { showName, type Session } from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** Throws where the database has large objects and nobody has said what is to become of them. */
export async function requireNoLargeObjects(setup: SourceSetup, session: Session): Promise<void> {
  if (setup.options.largeObjects === 'database') return;
  const [row] = await session.query<{ objects: string }>(
    'SELECT count(*)::text AS objects FROM pg_largeobject_metadata',
  );
  if (row?.objects === '0') return;
  throw new PgsiloError(
    'source.failed',
    `database ${showName(session.database)} holds ${row?.objects} large objects, which belong to no schema: nobody can say to which tenant each may be given`,
    {
      hint: 'Set `largeObjects: database` to have them in the unit @database, or back the database up whole, by use: database-per-tenant.',
    },
  );
}
