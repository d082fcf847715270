import type { Manifest } from './manifest.ts';

/** On the backups of what a restore replaced; `pgsilo list` shows it. */
export const safetyLabels: Readonly<Record<'reason', string>> = { reason: 'before-restore' };

/**
 * Whether a backup holds what a restore was about to replace. It is the newest of its unit then, and what it holds is what somebody wanted to get rid of:
 * it is restored when it is asked for by its id, and stands for no period in a sink that takes one backup of each.
 */
export function isSafetyBackup({ labels }: Pick<Manifest, 'labels'>): boolean {
  return labels['reason'] === safetyLabels.reason;
}
