import type { BackupView, Context, Inspection } from '@pgsilo/plugin';
import { plural } from '@pgsilo/postgres';
import { readClusterFile } from './cluster-file.ts';
import { placeOf } from './layout.ts';
import { serverFilesName } from './server-files.ts';
import { parseServerManifest, readServerManifest, requireListed } from './server-manifest.ts';
import { tarEntries } from './tar-entries.ts';
import { requireLog } from './wal-range.ts';

/** Reads every tar to its end, and compares what is in them with the server's list and with the write-ahead log that is needed. Throws `source.archive-invalid`. */
export async function inspectCluster(backup: BackupView, { signal }: Context): Promise<Inspection> {
  const { databases, tablespaces, wal } = await readClusterFile(backup);
  const listed = parseServerManifest(await readServerManifest(backup));
  const sent = new Set(tablespaces.map(({ oid }) => oid));
  const found = new Map<string, number>();
  for (const artifact of backup.artifacts) {
    const place = placeOf(artifact.name);
    if (!place && artifact.name !== serverFilesName) continue;
    const { tablespace } = place ?? {};
    const prefix = tablespace !== undefined && sent.has(tablespace) ? `pg_tblspc/${tablespace}/` : '';
    for await (const { path, type, size } of tarEntries(artifact, signal))
      if (type === 'file' && place) found.set(prefix + path, size);
  }
  requireListed(listed, found);
  requireLog(wal, found);
  return {
    summary: [
      plural(databases.length, 'database'),
      ...(tablespaces.length > 0 ? [plural(tablespaces.length, 'tablespace')] : []),
      plural(found.size, 'file'),
      `write-ahead log from ${wal.start} to ${wal.stop}`,
    ].join(', '),
  };
}
