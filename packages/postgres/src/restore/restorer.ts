import type { Session } from '../session.ts';

/** What the role that restores may do on the target server. */
export interface Restorer {
  readonly name: string;
  readonly superuser: boolean;
  readonly mayCreate: boolean;
  readonly bypassesRowSecurity: boolean;
}

export async function readRestorer(session: Session): Promise<Restorer> {
  const [row] = await session.query<{ name: string; superuser: boolean; create: boolean; bypass: boolean }>(
    `SELECT rolname::text AS name, rolsuper AS superuser, rolcreatedb AS create, rolbypassrls AS bypass FROM pg_roles WHERE rolname = current_user`,
  );
  if (!row) throw new Error('the current role has no row in pg_roles');
  const { name, superuser } = row;
  return {
    name,
    superuser,
    mayCreate: superuser || row.create,
    bypassesRowSecurity: superuser || row.bypass,
  };
}
