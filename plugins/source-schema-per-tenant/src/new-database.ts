import { PgsiloError } from '@pgsilo/plugin';
import { databaseExists, describeServer, longestIdentifier, showName, type Session } from '@pgsilo/postgres';

/** Throws `usage.invalid` for a name that the server would cut. */
export function refuseLongDatabaseName(name: string): void {
  if (name !== '' && Buffer.byteLength(name) <= longestIdentifier) return;
  throw new PgsiloError('usage.invalid', `the database name ${showName(name)} is not of 1 to 63 bytes`);
}

/** Throws `restore.target-exists`. */
export async function refuseExisting(admin: Session, name: string): Promise<void> {
  if (!(await databaseExists(admin, name))) return;
  throw new PgsiloError(
    'restore.target-exists',
    `database ${showName(name)} is on ${describeServer(admin.settings)} already`,
    {
      hint: 'Choose another name with --to, or drop it when it is an earlier restore that is no longer needed.',
    },
  );
}
