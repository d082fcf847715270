import type { Options } from './options.ts';
import { classes, isKnownClass, nearestClass } from './storage-classes.ts';

/** What is allowed and probably not meant. */
export interface Warning {
  readonly message: string;
  readonly option: string;
}

/** @param keptDays how long the pipeline's retention keeps a backup; undefined: unknown. */
export function warningsOf(
  { storageClass, objectLock, endpoint }: Options,
  keptDays: number | undefined,
): readonly Warning[] {
  const warnings: Warning[] = [];
  const facts = endpoint === undefined ? classes[storageClass] : undefined;
  if (facts !== undefined && keptDays !== undefined && keptDays < facts.leastDays)
    warnings.push({
      option: 'storageClass',
      message: `retention removes backups after ${days(keptDays)}, and ${storageClass} is paid for ${facts.leastDays} at least`,
    });
  const near = isKnownClass(storageClass) ? undefined : nearestClass(storageClass);
  if (near !== undefined)
    warnings.push({
      option: 'storageClass',
      message: `${storageClass} is none of Amazon's storage classes; if it is none of this store's either, did you mean ${near}?`,
    });
  const locked = objectLock?.days;
  if (locked !== undefined && keptDays !== undefined && locked < keptDays)
    warnings.push({
      option: 'objectLock.days',
      message: shortLock(locked, keptDays),
    });
  return warnings;
}

/** Of a lock that ends before retention lets go; both in days. */
export function shortLock(locked: number, kept: number): string {
  return `objects are locked for ${days(locked)} and kept for ${kept}, and longer where later backups need them: towards its end a backup is not protected`;
}

function days(count: number): string {
  return `${count} ${count === 1 ? 'day' : 'days'}`;
}
