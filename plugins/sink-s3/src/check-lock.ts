import { GetObjectLockConfigurationCommand } from '@aws-sdk/client-s3';
import type { DefaultRetention } from '@aws-sdk/client-s3';
import { throwIfAborted } from '@pgsilo/plugin';
import type { CheckResult, Context } from '@pgsilo/plugin';
import { nameOf, statusOf, translate } from './errors.ts';
import type { Store } from './store.ts';
import { shortLock } from './warnings.ts';

const name = 'object lock';

/**
 * Undefined when nobody wants a lock and there is none.
 * @param keptDays how long the pipeline's retention keeps a backup; undefined: unknown.
 */
export async function checkLock(
  store: Store,
  keptDays: number | undefined,
  { signal }: Context,
): Promise<CheckResult | undefined> {
  const wanted = store.options.objectLock;
  const command = new GetObjectLockConfigurationCommand({ Bucket: store.bucket });
  let rule: DefaultRetention | undefined;
  try {
    const { ObjectLockConfiguration } = await store.client.send(command, { abortSignal: signal });
    rule = ObjectLockConfiguration?.Rule?.DefaultRetention;
  } catch (error) {
    throwIfAborted(signal);
    if (wanted === undefined) return undefined;
    if (nameOf(error) === 'ObjectLockConfigurationNotFoundError' || statusOf(error) === 404)
      return failed(
        'the bucket has no object lock',
        'It is turned on when a bucket is made, or later by its owner.',
      );
    return { name, status: 'warning', message: translate(error, 'ask for the object lock').message };
  }
  if (wanted?.mode === 'bucket' && rule === undefined)
    return failed(
      '`objectLock` relies on the bucket, which has no default retention',
      'Give `mode` and `days`, or set a default.',
    );
  if (wanted !== undefined && wanted.mode !== 'bucket')
    return { name, status: 'ok', message: `each object is locked: ${wanted.mode} for ${wanted.days} days` };
  if (rule === undefined) return undefined;
  const days = rule.Days ?? (rule.Years ?? 0) * 365;
  if (wanted !== undefined && keptDays !== undefined && days < keptDays)
    return {
      name,
      status: 'warning',
      message: shortLock(days, keptDays),
      hint: 'Raise the default of the bucket, or give `objectLock` a mode and days of its own.',
    };
  return { name, status: 'ok', message: `the bucket locks each object: ${rule.Mode} for ${days} days` };
}

function failed(message: string, hint: string): CheckResult {
  return { name, status: 'failed', message, hint };
}
