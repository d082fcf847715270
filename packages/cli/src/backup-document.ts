import type { CatalogEntry, Manifest } from '@pgsilo/engine';
import { errorDocument } from './error-text.ts';
import { formatBytes } from './terminal/format.ts';

/** A backup of the catalog for `--json`. */
export function backupDocument({
  manifest,
  error,
  pin,
  keysDestroyed,
  proved,
  ...entry
}: CatalogEntry): object {
  return {
    unit: entry.unit,
    backup: entry.backup,
    ...(manifest
      ? {
          status: manifest.status,
          snapshotAt: manifest.snapshotAt,
          startedAt: manifest.startedAt,
          finishedAt: manifest.finishedAt,
          run: manifest.run,
          unitLabels: manifest.unit.labels,
          labels: manifest.labels,
          bytes: totalBytes(manifest, 'bytes'),
          storedBytes: totalBytes(manifest, 'storedBytes'),
        }
      : {}),
    sinks: entry.sinks,
    missingFrom: entry.missingFrom,
    ...(pin ? { pin: pinDocument(pin) } : {}),
    ...(keysDestroyed ? { keysDestroyed: { at: keysDestroyed.at, by: keysDestroyed.reason } } : {}),
    ...(proved ? { verified: proved } : {}),
    ...(error ? { error: errorDocument(error) } : {}),
  };
}

export function pinDocument({ at, reason, until }: NonNullable<CatalogEntry['pin']>): object {
  return { at, ...(reason === undefined ? {} : { reason }), ...(until === undefined ? {} : { until }) };
}

export function totalBytes({ artifacts }: Manifest, of: 'bytes' | 'storedBytes'): number {
  return artifacts.reduce((total, artifact) => total + artifact[of], 0);
}

/** `12 MB → 3.1 MB`: before transforms, and as stored. */
export function storedSize(manifest: Manifest | undefined): string {
  if (!manifest) return '';
  return `${formatBytes(totalBytes(manifest, 'bytes'))} → ${formatBytes(totalBytes(manifest, 'storedBytes'))}`;
}
