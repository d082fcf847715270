import type { LifecycleRule } from '@aws-sdk/client-s3';
import type { CheckResult } from '@pgsilo/plugin';
import type { Options } from './options.ts';

/** Manifests and notes are smaller, every `list` reads them, and colder classes bill this much for each object anyway. */
const largerThan = 128 * 1024;
/** Amazon takes no rule that moves objects there earlier. */
const daysBefore: Readonly<Record<string, number>> = { STANDARD_IA: 30, ONEZONE_IA: 30 };

/**
 * Artifacts are written into their class at once, which costs less than to move them. What lies under the prefix from a time when another class was set can be moved by a rule of the bucket:
 * the one that fits this sink, by its prefix and its tags.
 */
export function classRule({ storageClass, prefix, tags }: Options): LifecycleRule | undefined {
  if (storageClass === 'STANDARD') return undefined;
  return {
    ID: `pgsilo-${storageClass}${prefix === '' ? '' : `-${prefix.replaceAll('/', '-')}`}`,
    Status: 'Enabled',
    Filter: {
      And: {
        Prefix: prefix === '' ? '' : `${prefix.replace(/\/$/, '')}/`,
        ObjectSizeGreaterThan: largerThan,
        ...(Object.keys(tags).length === 0
          ? {}
          : { Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }),
      },
    },
    Transitions: [{ Days: daysBefore[storageClass] ?? 1, StorageClass: storageClass as 'STANDARD_IA' }],
  };
}

export function* tellClassRule(options: Options): Generator<CheckResult> {
  const rule = classRule(options);
  if (rule === undefined) return;
  yield {
    name: 'storage class',
    status: 'ok',
    message: `artifacts are written into ${options.storageClass}; a rule, to be added to those of the bucket, that moves there what lies here from before: ${JSON.stringify(rule)}`,
  };
}
