import { PgsiloError, type BackupView, type Context, type Inspection } from '@pgsilo/plugin';
import {
  compareContents,
  describeFingerprint,
  isData,
  plural,
  readArchive,
  inspectGlobals,
  isGlobals,
  listed,
  artifactOf,
  readFingerprint,
  readSettings,
} from '@pgsilo/postgres';

/** Reads all artifacts of a backup to their ends and compares what they say with each other. Throws `source.archive-invalid`. */
export async function inspectBackup(backup: BackupView, context: Context): Promise<Inspection> {
  if (isGlobals(backup.unit)) return inspectGlobals(backup);
  await readSettings(backup);
  const fingerprint = await readFingerprint(backup);
  context.signal.throwIfAborted();
  const contents = await readArchive(artifactOf(backup, 'database.dump').open(), { keep: isData });
  if (!fingerprint)
    return {
      summary: `${plural(contents.data.size, 'block')} of data, read to the end; no fingerprint to compare with`,
    };
  const differences = compareContents(contents, fingerprint);
  if (differences.length > 0) throw invalid(`archive and fingerprint differ: ${listed(differences, 10)}`);
  return { summary: describeFingerprint(fingerprint) };
}

function invalid(message: string): PgsiloError {
  return new PgsiloError('source.archive-invalid', message, {
    hint: 'Use the copy in another sink, or another backup.',
  });
}
