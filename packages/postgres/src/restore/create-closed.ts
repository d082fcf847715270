import type { RestoreRequest } from '@pgsilo/plugin';
import type { DatabaseSettings } from '../database-settings.ts';
import { createDatabaseStatement } from '../database-statements.ts';
import { quoteIdentifier } from '../quoting.ts';
import type { Session } from '../session.ts';
import type { Restorer } from './restorer.ts';

/** Makes an empty database with these settings, which nobody but its owner and superusers may connect to yet. */
export async function createClosed(
  admin: Session,
  name: string,
  settings: DatabaseSettings,
  given: {
    readonly request: RestoreRequest;
    readonly restorer: Restorer;
    /** Undefined: the server's default one. */
    readonly tablespace?: string | undefined;
    /** Whether the template has collation rules of its own (`templateHasRules`). */
    readonly templateRules: boolean;
  },
): Promise<void> {
  const { request, restorer, tablespace, templateRules } = given;
  // Who is no superuser works under the final owner from the start: its rights in the schema public hang on that.
  const owner = request.owner && !restorer.superuser ? settings.owner : undefined;
  await admin.query(
    createDatabaseStatement(settings, name, { major: admin.major, owner, tablespace, templateRules }),
  );
  await admin.query(`REVOKE ALL ON DATABASE ${quoteIdentifier(name)} FROM PUBLIC`);
}
