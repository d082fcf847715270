import { PgsiloError } from '@pgsilo/plugin';
import { looksRestored, plural, showName, type Session, type Tool } from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** The first pg_dump that writes large objects in batches, each of one owner. */
const firstWithOwners = 17;

/** How many the database has. */
export async function countLargeObjects(session: Session): Promise<number> {
  const [row] = await session.query<{ objects: number }>(
    'SELECT count(*)::float8 AS objects FROM pg_largeobject_metadata',
  );
  return row!.objects;
}

/** Throws where the database has large objects and it was not said what is to become of them, or it cannot be done. */
export async function requireLargeObjectsKnown(
  setup: SourceSetup,
  session: Session,
  tool: Pick<Tool, 'major' | 'version'>,
): Promise<void> {
  const { largeObjects } = setup.options;
  if (largeObjects === 'database') return;
  const objects = await countLargeObjects(session);
  if (objects === 0) return;
  const found = `database ${showName(session.database)} holds ${plural(objects, 'large object')}`;
  if (largeObjects === 'refuse')
    throw new PgsiloError(
      'source.failed',
      `${found}, which belong to no schema: nobody can say to which tenant each may be given`,
      {
        hint: 'Set `largeObjects: database` to have them in the unit @database, `largeObjects: { by: owner }` to give each to the tenant whose role owns it, or back the database up whole, by use: database-per-tenant.',
      },
    );
  if (tool.major >= firstWithOwners) return;
  throw new PgsiloError(
    'source.failed',
    `${found}, and pg_dump ${tool.version} writes the contents of all of them as one block, in no order: they cannot be told apart by their owners on the way`,
    {
      hint: `It takes a pg_dump of version ${firstWithOwners} or later, and so a server of that version to restore into (bin:). Or set \`largeObjects: database\`.`,
    },
  );
}

/** Schemas by the role that owns them, and roles that own several: what these own belongs to none of their schemas more than to another. */
export interface SchemaOwners {
  readonly schemaOf: ReadonlyMap<string, string>;
  readonly ofSeveral: readonly string[];
}

/** @param schemas those of the tenants */
export async function schemaOwners(session: Session, schemas: readonly string[]): Promise<SchemaOwners> {
  const rows = await session.query<{ role: string; schemas: string[] }>(
    `SELECT r.rolname::text AS role, array_agg(n.nspname::text) AS schemas
       FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE n.nspname = ANY ($1::text[]::name[]) GROUP BY 1`,
    [schemas],
  );
  const owned = rows.map(({ role, schemas }) => {
    // What a restore in place has kept was that very schema.
    const own = schemas.filter((name) => !looksRestored(name));
    return { role, schemas: own.length === 1 ? own : schemas };
  });
  return {
    schemaOf: new Map(owned.flatMap(({ role, schemas: [only, ...others] }) => (others.length ? [] : [[role, only!]]))),
    ofSeveral: owned.filter((row) => row.schemas.length > 1).map(({ role }) => role),
  }; // prettier-ignore
}

/** What a person should know before: large objects that cannot be given to one tenant. */
export async function largeObjectWarnings(
  setup: SourceSetup,
  session: Session,
  schemas: readonly string[],
): Promise<readonly string[]> {
  if (typeof setup.options.largeObjects === 'string') return [];
  const { ofSeveral } = await schemaOwners(session, schemas);
  const rows = await session.query<{ role: string; objects: number }>(
    `SELECT r.rolname::text AS role, count(*)::float8 AS objects FROM pg_largeobject_metadata m JOIN pg_roles r ON r.oid = m.lomowner
      WHERE r.rolname = ANY ($1::text[]::name[]) GROUP BY 1 ORDER BY 1`,
    [ofSeveral],
  );
  return rows.map(
    ({ role, objects }) =>
      `role ${showName(role)} owns the schemas of several tenants: its ${plural(objects, 'large object')} go into @database, because nobody can say whose they are`,
  );
}
