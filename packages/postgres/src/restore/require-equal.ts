import { PgsiloError, type Comparison } from '@pgsilo/plugin';
import type { Fingerprint } from '../fingerprint.ts';

/** Says what of a restored copy was compared, by `compare`, with the backup's fingerprint; without one that is nothing. Throws `restore.mismatch`. */
export async function requireEqual(
  fingerprint: Fingerprint | undefined,
  compare: (fingerprint: Fingerprint) => Promise<Comparison>,
): Promise<string> {
  if (!fingerprint) return 'nothing, because the backup has no fingerprint';
  const { compared, differences } = await compare(fingerprint);
  if (differences.length === 0) return compared;
  throw new PgsiloError(
    'restore.mismatch',
    `what was restored is not what the backup's fingerprint says:\n${differences.map((each) => `- ${each}`).join('\n')}`,
    { hint: 'Try another backup (--before) or sink (--from), and pgsilo verify --level decode.' },
  );
}
