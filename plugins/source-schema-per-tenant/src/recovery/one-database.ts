import { isPgsiloError, PgsiloError, type Context } from '@pgsilo/plugin';
import { describeServer, openSession, showName, type ServerSettings, type Session } from '@pgsilo/postgres';

/** A session in the one database. Throws `restore.refused` where it is not there. */
export async function openDatabase(
  server: ServerSettings,
  database: string,
  applicationName: string,
  { signal }: Context,
): Promise<Session> {
  try {
    return await openSession(server, { database, applicationName, purpose: 'restore', signal });
  } catch (error) {
    if (!isPgsiloError(error) || error.code !== 'source.unit-missing') throw error;
    throw new PgsiloError(
      'restore.refused',
      `there is no database ${showName(database)} on ${describeServer(server)} to put schemas into: the unit @database was not restored`,
      {
        cause: error,
        hint: 'See what is said of @database. Where it has no backup, make the database by hand (CREATE DATABASE …), and run the same command again.',
      },
    );
  }
}

/** Every database has a schema public, which the backup may be of: it is there when something is in it. */
export async function isThere(session: Session, schema: string): Promise<boolean> {
  const [row] = await session.query<{ there: boolean; filled: boolean }>(
    `SELECT count(*) > 0 AS there, coalesce(bool_or(EXISTS (
        SELECT FROM (SELECT 'pg_class'::regclass AS classid, oid FROM pg_class WHERE relnamespace = n.oid
          UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = n.oid
          UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = n.oid) o
         WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype = 'e'
           AND d.refclassid = 'pg_extension'::regclass))), false) AS filled
       FROM pg_namespace n WHERE nspname = $1`,
    [schema],
  );
  return schema === 'public' ? row!.filled : row!.there;
}
