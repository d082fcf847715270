import {
  PgsiloError,
  type Job,
  type Json,
  type Part,
  type ReadContext,
  type SourceItem,
} from '@pgsilo/plugin';
import { openReplication, readInAttempt, type Attempt, type Session } from '@pgsilo/postgres';
import { cutArtifacts } from './artifacts.ts';
import { BaseBackup } from './base-backup.ts';
import { clusterFileName, type ClusterFile } from './cluster-file.ts';
import { mergeMaps, readClusterMap, readSchemas, requireVersion, tablespacesSent } from './cluster-map.ts';
import { placeOf } from './layout.ts';
import { readServerFiles, serverFilesBody, serverFilesName } from './server-files.ts';
import type { SourceSetup } from './setup.ts';
import type { TarHeader } from './tar-header.ts';
import { missingSegments, segmentsOf, type WalRange } from './wal-range.ts';

/** Warnings of the server that the manifest repeats. */
const mostWarnings = 20;

/** Backs up the files of the whole server by one BASE_BACKUP, cut on its way. */
export function readCluster(
  setup: SourceSetup,
  open: Set<Attempt>,
  job: Job,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  return readInAttempt(setup.settings, open, context, async function* (attempt) {
    for (const unit of job.units) yield* readUnit(setup, unit.name, attempt, context);
  });
}

async function* readUnit(
  setup: SourceSetup,
  unit: string,
  attempt: Attempt,
  context: ReadContext,
): AsyncGenerator<SourceItem> {
  const session = await attempt.open(setup.settings.database, 'back up the server');
  requireVersion(session);
  const server = await readServer(session);
  const before = await readClusterMap(session);
  const sizes = await readSizes(session);
  const { configuration, files, problem } = await readServerFiles(session, context);
  if (files.size > 0)
    yield { type: 'artifact', unit, name: serverFilesName, format: 'tar', body: serverFilesBody(files) };

  const replication = await openReplication(session.settings, {
    applicationName: attempt.applicationName,
    purpose: 'copy the files of the server',
    signal: attempt.signal,
  });
  const backup = new BaseBackup(replication, attempt.applicationName, setup.options, server.checksums);
  const seen = new Seen();
  const names: string[] = [];
  try {
    for await (const { name, format, body } of cutArtifacts(backup.items(), seen.take)) {
      const { database, tablespace } = placeOf(name) ?? {};
      // A database that has files in other tablespaces too has fewer here.
      const size = tablespace === undefined && database !== undefined ? sizes.get(database) : undefined;
      names.push(name);
      yield {
        type: 'artifact',
        unit,
        name,
        format,
        body: attempt.watch(body),
        ...(size === undefined ? {} : { estimatedBytes: size }),
      };
      attempt.requireRead(name);
    }
  } finally {
    await replication.close();
  }
  for (const warning of backup.warnings) context.log.warn(`the server says: ${warning}`, { unit });
  const { start, stop } = backup;
  const wal = {
    timeline: stop.timeline,
    start: start.lsn,
    stop: stop.lsn,
    segmentBytes: server.segmentBytes,
  };
  requireWal(wal, seen.wal);
  const [startSegment = ''] = segmentsOf(wal);

  const after = await readClusterMap(session);
  const [ended] = await session.query<{ at: string; archiver: Json }>(
    `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
            (SELECT to_jsonb(a) FROM pg_stat_archiver a) AS archiver`,
  );
  const schemas = setup.options.schemas
    ? await readSchemas(session, after.databases, attempt.applicationName, context)
    : new Map<string, readonly string[]>();
  const databases = mergeMaps(before, after).map((database) => {
    const known = schemas.get(database.oid);
    return known ? { ...database, schemas: known } : database;
  });
  const tablespaces = tablespacesSent(backup.tablespaces, before, after);
  const file: ClusterFile = { databases, tablespaces, wal, configuration };
  yield { type: 'artifact', unit, name: clusterFileName, format: 'json', body: jsonBody(file) };
  yield {
    type: 'facts',
    unit,
    facts: {
      status: backup.damage === undefined ? 'good' : 'damaged',
      snapshotAt: ended!.at,
      server: {
        version: session.serverVersion,
        ...(server.system === null ? {} : { systemIdentifier: server.system }),
      },
      tool: `BASE_BACKUP ${session.serverVersion}`,
      lsn: stop.lsn,
      parts: partsOf(databases, names),
      about: {
        databases: databases.length,
        tablespaces: tablespaces.length,
        files: seen.files,
        timeline: stop.timeline,
        startLsn: start.lsn,
        stopLsn: stop.lsn,
        // From here on the log is kept: names of segments need no size of a segment to be compared.
        startSegment,
        segmentBytes: server.segmentBytes,
        walSegments: seen.wal.size,
        checksums: server.checksums ? 'verified by the server' : 'off in this cluster',
        archiver: ended!.archiver,
        ...(backup.damage === undefined ? {} : { damage: backup.damage }),
        ...(backup.warnings.length === 0 ? {} : { warnings: backup.warnings.slice(0, mostWarnings) }),
        ...(problem === undefined ? {} : { configuration: problem }),
      },
    },
  };
  if (backup.damage !== undefined)
    context.log.error(`the server found damage in its own files: ${backup.damage}`, { unit });
}

interface ServerFacts {
  readonly checksums: boolean;
  readonly segmentBytes: number;
  readonly system: string | null;
}

async function readServer(session: Session): Promise<ServerFacts> {
  const [row] = await session.query<ServerFacts>(
    `SELECT current_setting('data_checksums') = 'on' AS checksums,
            pg_size_bytes(current_setting('wal_segment_size'))::int4 AS "segmentBytes",
            CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
                 THEN (SELECT system_identifier::text FROM pg_control_system()) END AS system`,
  );
  return row!;
}

/** Bytes of each database that the role may look at, by OID: stores choose their parts by it. */
async function readSizes(session: Session): Promise<ReadonlyMap<string, number>> {
  const rows = await session.query<{ oid: string; bytes: string | null }>(
    `SELECT oid::text, CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
                            THEN pg_database_size(oid)::text END AS bytes FROM pg_database WHERE datconnlimit <> -2`,
  );
  return new Map(rows.flatMap(({ oid, bytes }) => (bytes === null ? [] : [[oid, Number(bytes)]])));
}

/** What went by. */
class Seen {
  files = 0;
  /** Segments of write-ahead log with their sizes. */
  readonly wal: Map<string, number> = new Map();

  readonly take = ({ path, type, size }: TarHeader): void => {
    if (type !== 'file') return;
    this.files += 1;
    const segment = /^(?:\.\/)?pg_wal\/([0-9A-F]{24})$/.exec(path)?.[1];
    if (segment !== undefined) this.wal.set(segment, size);
  };
}

/** Without them no server can start from the files. */
function requireWal(range: WalRange, found: ReadonlyMap<string, number>): void {
  const missing = missingSegments(range, found);
  if (missing.length === 0) return;
  throw new PgsiloError(
    'source.incomplete',
    `the base backup from ${range.start} to ${range.stop} came without ${missing.length} segments of its write-ahead log, the first of them ${missing[0]}`,
  );
}

function partsOf(
  databases: readonly { readonly oid: string; readonly name: string }[],
  names: readonly string[],
): readonly Part[] {
  return databases.map(({ oid, name }) => ({
    name,
    oid: Number(oid),
    artifacts: names.filter((artifact) => placeOf(artifact)?.database === oid),
  }));
}

async function* jsonBody(value: unknown): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`);
}
