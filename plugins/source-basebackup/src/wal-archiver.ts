import type { ArchiverState, Context, WalArchiver } from '@pgsilo/plugin';
import { openSession, type Session } from '@pgsilo/postgres';
import { freeOfLog } from './log-disk.ts';
import type { SourceSetup } from './setup.ts';
import { positionOf } from './wal-range.ts';
import { changeSettings, wantedSettings, type WantedSettings } from './wal-settings.ts';

/** The server's side of the archive. */
export function createArchiver(setup: SourceSetup): WalArchiver {
  return {
    state: (context) => withServer(setup, context, 'look at the archiver', readState),
    async setup(command, context) {
      const look = (session: Session): Promise<WantedSettings> => wantedSettings(session, command);
      const { settings, foreign } = await withServer(setup, context, 'look at the settings', look);
      return {
        settings,
        ...(foreign ? { foreign } : {}),
        apply: () =>
          withServer(setup, context, 'change the settings', (session) => changeSettings(session, settings)),
      };
    },
  };
}

async function withServer<Result>(
  { settings }: SourceSetup,
  { signal }: Context,
  purpose: string,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const session = await openSession(settings, { applicationName: 'pgsilo wal', purpose, signal });
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

interface Row {
  readonly segmentBytes: number;
  readonly mode: string;
  readonly configured: boolean;
  readonly standby: boolean;
  readonly position: string | null;
  readonly timeline: string;
  readonly archivedName: string | null;
  readonly archivedAt: Date | null;
  readonly failedName: string | null;
  readonly failedAt: Date | null;
  readonly failures: number;
  readonly mayLook: boolean;
}

async function readState(session: Session): Promise<ArchiverState> {
  // A library archives in place of a command from version 15 on. The settings of both may be hidden from the role: then it is taken that there is one.
  const [row] = await session.query<Row>(
    `SELECT pg_size_bytes(current_setting('wal_segment_size'))::int4 AS "segmentBytes", current_setting('archive_mode') AS mode,
            (SELECT coalesce(bool_or(setting NOT IN ('', '(disabled)')), true) FROM pg_settings WHERE name IN ('archive_command', 'archive_library')) AS configured,
            pg_is_in_recovery() AS standby,
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS position,
            CASE WHEN pg_is_in_recovery() THEN upper(lpad(to_hex((SELECT timeline_id FROM pg_control_checkpoint())), 8, '0'))
                 ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline,
            last_archived_wal AS "archivedName", last_archived_time AS "archivedAt",
            last_failed_wal AS "failedName", last_failed_time AS "failedAt", failed_count::float8 AS failures,
            has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE') AS "mayLook"
       FROM pg_stat_archiver`,
  );
  const { segmentBytes, mode, configured, standby, timeline, failures, ...last } = row!;
  const position = positionOf(row!.position ?? '0/0');
  const waiting = row!.mayLook ? await readWaiting(session) : undefined;
  const free = await freeOfLog(session);
  return {
    segmentBytes,
    mode,
    configured,
    standby,
    timeline,
    failures,
    segment: Number(position / BigInt(segmentBytes)),
    written: Number(position % BigInt(segmentBytes)),
    ...(last.archivedName !== null && last.archivedAt
      ? { lastArchived: { name: last.archivedName, at: last.archivedAt } }
      : {}),
    ...(last.failedName !== null && last.failedAt
      ? { lastFailed: { name: last.failedName, at: last.failedAt } }
      : {}),
    failing: last.failedAt !== null && (last.archivedAt === null || last.failedAt > last.archivedAt),
    ...(waiting ? { waiting } : {}),
    ...(free === undefined ? {} : { disk: { free } }),
  };
}

async function readWaiting(session: Session): Promise<NonNullable<ArchiverState['waiting']>> {
  const [row] = await session.query<{ files: number; age: number | null }>(
    `SELECT count(*)::int4 AS files, extract(epoch FROM clock_timestamp() - min(modification))::float8 * 1000 AS age
       FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`,
  );
  return { files: row!.files, ...(row!.age === null ? {} : { age: Math.max(0, row!.age) }) };
}
