import { showName, type Session, beyondReach, listed, type Problem } from '@pgsilo/postgres';

/** What makes a swap impossible, or surprising, found before the restore begins. */
export interface LiveFindings {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
}

/** Looks at the live database for what a swap would not survive or would leave behind. */
export async function examineLive(admin: Session, live: string, superuser: boolean): Promise<LiveFindings> {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const name = showName(live);
  const [own] = await admin.query<{ owner: string; ours: boolean; template: boolean }>(
    `SELECT pg_get_userbyid(datdba)::text AS owner, pg_has_role(datdba, 'USAGE') AS ours, datistemplate AS template FROM pg_database WHERE datname = $1`,
    [live],
  );
  if (!own) return { problems, warnings };
  if (!own.ours) {
    const message = `database ${name} belongs to ${showName(own.owner)}, of which the role that restores is no member, so it cannot be renamed`;
    problems.push({
      code: 'restore.denied',
      message,
      hint: 'Restore as its owner or as a superuser, or without --replace.',
    });
  }
  const prepared = await admin.query<{ gid: string }>(
    'SELECT gid FROM pg_prepared_xacts WHERE database = $1 ORDER BY prepared',
    [live],
  );
  if (prepared.length > 0) {
    problems.push({
      code: 'restore.refused',
      message: `database ${name} has prepared transactions, which keep it from being renamed: ${listed(prepared.map((row) => showName(row.gid)))}`,
      hint: 'COMMIT PREPARED or ROLLBACK PREPARED them first.',
    });
  }
  const slots = await admin.query<{ name: string }>(
    'SELECT slot_name::text AS name FROM pg_replication_slots WHERE database = $1',
    [live],
  );
  if (slots.length > 0) {
    warnings.push(
      `logical replication slots stay with the replaced database and have to be made again in the new one: ${listed(slots.map((row) => showName(row.name)))}`,
    );
  }
  // Only a superuser may read all of pg_subscription; its columns but the connection are open to everybody.
  const subscriptions = await admin.query<{ name: string }>(
    `SELECT s.subname::text AS name FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = $1 AND s.subenabled`,
    [live],
  );
  if (subscriptions.length > 0) {
    warnings.push(
      `enabled subscriptions go on in the replaced database; in the restored one they are disabled: ${listed(subscriptions.map((row) => showName(row.name)))}`,
    );
  }
  if (!superuser) {
    const others = await admin.query<{ role: string }>(
      `SELECT DISTINCT r.rolname::text AS role FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
       WHERE a.datname = $1 AND ${beyondReach}`,
      [live],
    );
    if (others.length > 0) {
      problems.push({
        code: 'restore.denied',
        message: `sessions of other roles are in database ${name} and may not be ended by the role that restores: ${listed(others.map((row) => showName(row.role)))}`,
        hint: 'GRANT pg_signal_backend to the role that restores.',
      });
    }
  }
  return { problems, warnings };
}
