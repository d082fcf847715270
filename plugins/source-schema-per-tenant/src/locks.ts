import { PgsiloError } from '@pgsilo/plugin';
import { plural, showName, type Session } from '@pgsilo/postgres';

/** What a dump of the whole database asks of the server's lock table, which has a fixed size. */
export interface LockHeadroom {
  /** Locks that pg_dump holds until it ends: one for each table, and for each sequence that it has read. */
  readonly needed: number;
  /** For how many the server has room, those of the application among them. */
  readonly capacity: number;
  /** The value of `max_locks_per_transaction` with which they would fill half of it. */
  readonly comfortable: number;
}

export async function lockHeadroom(session: Session): Promise<LockHeadroom> {
  const [row] = await session.query<{ needed: number; locks: number; sessions: number }>(
    `SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_')::int4 AS needed,
            current_setting('max_locks_per_transaction')::int4 AS locks,
            (SELECT sum(setting::int4) FROM pg_settings
              WHERE name IN ('max_connections', 'max_prepared_transactions', 'max_worker_processes', 'max_wal_senders', 'autovacuum_max_workers'))::int4 AS sessions`,
  );
  const { needed, locks, sessions } = row!;
  return {
    needed,
    capacity: locks * sessions,
    comfortable: Math.max(locks, Math.ceil((needed * 2) / sessions)),
  };
}

/** Throws before pg_dump is started where the server would run out of locks: for pg_dump, and for the application while it runs. */
export async function requireLocks(session: Session): Promise<void> {
  const headroom = await lockHeadroom(session);
  if (headroom.needed < headroom.capacity) return;
  throw new PgsiloError(
    'source.failed',
    `${describeLocks(session, headroom)}; max_locks_per_transaction has to be ${headroom.comfortable}`,
    { hint: locksHint(headroom) },
  );
}

export function describeLocks(session: Session, { needed, capacity }: LockHeadroom): string {
  return `a dump of database ${showName(session.database)} holds ${plural(needed, 'lock')}, and the server has room for ${capacity.toLocaleString('en-US')}`;
}

export function locksHint({ comfortable }: LockHeadroom): string {
  return `Set max_locks_per_transaction = ${comfortable} (it takes a restart of the server).`;
}
