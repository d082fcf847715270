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
  readFingerprint,
  showName,
} from '@pgsilo/postgres';
import type { SourceSetup } from './setup.ts';

/** Compares the schema of a backup, in a database that is there, with the backup's fingerprint. */
export async function compareSchema(
  setup: SourceSetup,
  target: CompareTarget,
  backup: BackupView,
  context: Context,
): Promise<Comparison> {
  const fingerprint = await readFingerprint(backup);
  if (!fingerprint)
    throw new PgsiloError(
      'restore.refused',
      `backup ${backup.id} of ${showName(backup.unit.name)} has no fingerprint to compare with`,
      { hint: 'Set fingerprint: counts (the default) or content in the source, for the next backups.' },
    );
  const settings = target.server === undefined ? setup.settings : parseConnection(target.server);
  const session = await openSession(settings, {
    database: target.name,
    applicationName: 'pgsilo compare',
    purpose: `compare with backup ${backup.id}`,
    signal: context.signal,
  });
  try {
    return await compareFingerprint(session, fingerprint, context);
  } finally {
    await session.close();
  }
}
