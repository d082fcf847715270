import type { Options } from './options.ts';
import { leastDays } from './storage-classes.ts';

/** What is allowed and probably not meant. @param keptDays how long the pipeline's retention keeps a backup; undefined: unknown. */
export function warningOf({ storageClass }: Options, keptDays: number | undefined): string | undefined {
  if (storageClass === undefined || keptDays === undefined || keptDays >= leastDays[storageClass])
    return undefined;
  return `retention removes backups after ${keptDays} ${keptDays === 1 ? 'day' : 'days'}, and ${storageClass} is paid for ${leastDays[storageClass]} at least`;
}
