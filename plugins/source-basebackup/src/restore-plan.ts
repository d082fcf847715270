import { describePoint, type ArtifactView, type RestoreRequest } from '@pgsilo/plugin';
import type { Tool } from '@pgsilo/postgres';
import type { ClusterFile } from './cluster-file.ts';
import { placeOf } from './layout.ts';
import { sayRoom, type LogPlan } from './log-plan.ts';
import type { Places } from './place-files.ts';
import { megabytes, type TargetFolder } from './target-folders.ts';

/** What one folder must have room for. */
export interface Need {
  readonly folder: TargetFolder;
  readonly bytes: number;
}

export function needsOf(artifacts: readonly ArtifactView[], { data, tablespaces }: Places): readonly Need[] {
  const sum = (folder: TargetFolder): number =>
    tars(artifacts).reduce((total, { name, bytes }) => {
      const { tablespace } = placeOf(name)!;
      const place = (tablespace === undefined ? undefined : tablespaces.get(tablespace)) ?? data;
      return place === folder ? total + bytes : total;
    }, 0);
  return [data, ...tablespaces.values()].map((folder) => ({ folder, bytes: sum(folder) }));
}

/** Artifacts that hold files of the server. */
export function tars(artifacts: readonly ArtifactView[]): readonly ArtifactView[] {
  return artifacts.filter(({ name }) => placeOf(name) !== undefined);
}

/** What was found out before a restore begins. */
export interface Findings {
  readonly cluster: ClusterFile;
  readonly places: Places;
  readonly needs: readonly Need[];
  /** Undefined where there is no goal behind the end of the backup. */
  readonly log: LogPlan | undefined;
  readonly verifier: Tool | string;
}

/** What would be done, for people. */
export function planOf(
  { backup, recovery, start }: RestoreRequest,
  { cluster, places, needs, log, verifier }: Findings,
): readonly string[] {
  const { tablespaces, wal } = cluster;
  const damage =
    backup.facts.status === 'damaged'
      ? [
          'CAREFUL: the server found damage in its own files when this backup was made; what is damaged comes back so',
        ]
      : [];
  const moved = tablespaces.map(({ oid, name, location }) => {
    const { path } = places.tablespaces.get(oid)!;
    const from = path === location ? '' : `, which was in ${location}`;
    return `Put the files of tablespace ${name ?? oid}${from} into ${path}`;
  });
  const { data } = places;
  const onDisk = needs.filter(({ folder }) => folder.device === data.device);
  const files = onDisk.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    ...damage,
    `Put the files of the server into ${data.path}: ${needs.map(({ bytes }) => megabytes(bytes)).join(' + ')}, with write-ahead log from ${wal.start} to ${wal.stop}`,
    ...moved,
    sayRoom(files, log?.bytes ?? 0, data.freeBytes, `the disk of ${data.path}`),
    typeof verifier === 'string'
      ? `Compare them with the server's list by name and size; not by its checksums, because ${verifier}`
      : `Compare them with the server's list, and have pg_verifybackup ${verifier.version} compare their checksums`,
    'Lock the restored server down: a socket only, nothing archived, no jobs, no replication; it goes on with a timeline of its own',
    ...(recovery && !start ? [`Have it recover to ${describePoint(recovery.point)} when it is started`] : []),
    ...(start
      ? [
          `Start it, have it recover to ${recovery ? describePoint(recovery.point) : `${wal.stop}, the end of the backup`}, and leave it running`,
        ]
      : []),
    ...(log?.lines ?? []),
  ];
}
