import { GetBucketLifecycleConfigurationCommand } from '@aws-sdk/client-s3';
import type { LifecycleRule } from '@aws-sdk/client-s3';
import { throwIfAborted } from '@pgsilo/plugin';
import type { CheckResult, Context } from '@pgsilo/plugin';
import { nameOf, translate } from './errors.ts';
import type { Store } from './store.ts';

/** Longer than any upload takes. */
const days = 7;

/** Parts of a process that was killed are paid for until somebody ends their upload: `prune` does, and a rule of the bucket where that never runs. */
export async function checkLifecycle(store: Store, { signal }: Context): Promise<CheckResult> {
  const name = 'lifecycle';
  const command = new GetBucketLifecycleConfigurationCommand({ Bucket: store.bucket });
  const hint = `A rule that does, for \`aws s3api put-bucket-lifecycle-configuration\` (it replaces all others): ${JSON.stringify(policyFor(store))}`;
  try {
    const { Rules = [] } = await store.client.send(command, { abortSignal: signal });
    const rule = Rules.find((one) => endsUploads(one, store.prefix));
    if (rule) {
      const after = rule.AbortIncompleteMultipartUpload!.DaysAfterInitiation;
      return { name, status: 'ok', message: `the bucket ends unfinished uploads after ${after} days` };
    }
  } catch (error) {
    throwIfAborted(signal);
    if (nameOf(error) !== 'NoSuchLifecycleConfiguration') {
      const { message } = translate(error, "read the bucket's lifecycle rules");
      return { name, status: 'warning', message, hint };
    }
  }
  return {
    name,
    status: 'warning',
    message: 'no rule of the bucket ends unfinished uploads, which take space unseen',
    hint,
  };
}

function endsUploads(
  { Status, AbortIncompleteMultipartUpload: rule, Filter, Prefix }: LifecycleRule,
  prefix: string,
): boolean {
  if (Status !== 'Enabled' || rule?.DaysAfterInitiation === undefined) return false;
  // Parts have no tags, so that a rule with tags never meets them.
  if (Filter?.Tag !== undefined || (Filter?.And?.Tags ?? []).length > 0) return false;
  return prefix.startsWith(Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? '');
}

function policyFor({ prefix }: Store): object {
  return {
    Rules: [
      {
        ID: 'pgsilo-unfinished-uploads',
        Status: 'Enabled',
        Filter: { Prefix: prefix },
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: days },
      },
    ],
  };
}
