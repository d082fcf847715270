import {
  PgsiloError,
  type BackupView,
  type CompareTarget,
  type Comparison,
  type Context,
} from '@pgsilo/plugin';
import {
  compareFingerprint,
  openSession,
  parseConnection,
  showName,
  readFingerprint,
} from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** Compares a database that is there with the fingerprint of a backup. */
export async function compareDatabase(
  setup: SourceSetup,
  target: CompareTarget,
  backup: BackupView,
  context: Context,
): Promise<Comparison> {
  const fingerprint = await readFingerprint(backup);
  if (!fingerprint) {
    throw new PgsiloError(
      'restore.refused',
      `backup ${backup.id} of ${showName(backup.unit.name)} has no fingerprint to compare with`,
      {
        hint: 'Set fingerprint: counts (the default) or content in the source, for the next backups.',
      },
    );
  }
  const session = await openSession(
    target.server === undefined ? setup.settings : parseConnection(target.server),
    {
      database: target.name,
      applicationName: 'pgsilo compare',
      purpose: `compare with backup ${backup.id}`,
      signal: context.signal,
    },
  );
  try {
    return await compareFingerprint(session, fingerprint, context);
  } finally {
    await session.close();
  }
}
