import { PgsiloError, type ArtifactView, type BackupView } from '@pgsilo/plugin';
import { showName } from '@pgsilo/postgres';
import type { ClusterDatabase, ClusterFile } from './cluster-file.ts';
import { ownerOf, placeOf } from './layout.ts';
import type { FileSizes } from './server-manifest.ts';

/** The first number that is given to a database that somebody makes: FirstNormalObjectId in access/transam.h. */
const firstNormalOid = 16_384;

/** What of a backup a server needs on which one database alone is looked at. */
export interface ChosenFiles {
  readonly database: ClusterDatabase;
  /** Databases whose files are left out. */
  readonly leftOut: readonly ClusterDatabase[];
  /** What all databases share, those that come with every server, and this one's. */
  readonly artifacts: readonly ArtifactView[];
  /** Whether a file of the data directory is among them. */
  isChosen(path: string): boolean;
}

/** Throws `restore.no-match` for a database that the backup does not have. */
export function chooseFiles(backup: BackupView, cluster: ClusterFile, name: string): ChosenFiles {
  const there = cluster.databases.filter(({ dropped }) => !dropped);
  const database = there.find((one) => one.name === name);
  if (!database) {
    const dropped = cluster.databases.some((one) => one.name === name);
    throw new PgsiloError(
      'restore.no-match',
      dropped
        ? `database ${showName(name)} was dropped while backup ${backup.id} was made`
        : `backup ${backup.id} holds no database ${showName(name)}`,
      { hint: dropped ? 'Use an earlier backup: --backup ID.' : '`pgsilo show` names those that it holds.' },
    );
  }
  const isKept = (oid: string | undefined): boolean =>
    oid === undefined || oid === database.oid || Number(oid) < firstNormalOid;
  return {
    database,
    leftOut: there.filter(({ oid }) => !isKept(oid)),
    artifacts: backup.artifacts.filter((artifact) => {
      const place = placeOf(artifact.name);
      return place !== undefined && isKept(place.database);
    }),
    isChosen: (path) => isKept(databaseOf(path)),
  };
}

/** The chosen ones of the server's list. */
export function chosenOf(listed: FileSizes, { isChosen }: ChosenFiles): FileSizes {
  return new Map([...listed].filter(([path]) => isChosen(path)));
}

/** OID of the database that a file belongs to, by its path in the data directory. */
function databaseOf(path: string): string | undefined {
  return placeOf(`${ownerOf({ path, type: 'file' }, undefined)}.tar`)?.database;
}
