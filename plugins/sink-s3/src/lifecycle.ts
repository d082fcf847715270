import { GetBucketLifecycleConfigurationCommand } from '@aws-sdk/client-s3';
import type { LifecycleRule } from '@aws-sdk/client-s3';
import { throwIfAborted } from '@pgsilo/plugin';
import type { CheckResult, Context } from '@pgsilo/plugin';
import { matesOf } from './bucket-mates.ts';
import { classRule } from './class-rule.ts';
import { nameOf, translate } from './errors.ts';
import type { Store } from './store.ts';

/** Longer than any upload takes. */
const days = 7;

/** Parts of a process that was killed are paid for until somebody ends their upload: `prune` does, and a rule of the bucket where that never runs. */
export async function checkLifecycle(store: Store, { signal }: Context): Promise<CheckResult> {
  const name = 'lifecycle';
  const command = new GetBucketLifecycleConfigurationCommand({ Bucket: store.bucket });
  let found: LifecycleRule[] | undefined;
  const hint = (): string =>
    `All rules for \`aws s3api put-bucket-lifecycle-configuration\`, which replaces ${found === undefined ? 'those that are there, and could not be read' : 'what is there by them'}: ${JSON.stringify(policyFor(store, found ?? []))}`;
  try {
    const { Rules = [] } = await store.client.send(command, { abortSignal: signal });
    found = Rules;
    const rule = Rules.find((one) => endsUploads(one, store.prefix));
    if (rule) {
      const after = rule.AbortIncompleteMultipartUpload!.DaysAfterInitiation;
      return { name, status: 'ok', message: `the bucket ends unfinished uploads after ${after} days` };
    }
  } catch (error) {
    throwIfAborted(signal);
    if (nameOf(error) !== 'NoSuchLifecycleConfiguration') {
      const { message } = translate(error, "read the bucket's lifecycle rules");
      return { name, status: 'warning', message, hint: hint() };
    }
    found = [];
  }
  return {
    name,
    status: 'warning',
    message: 'no rule of the bucket ends unfinished uploads, which take space unseen',
    hint: hint(),
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

/** What is there already, and what the sinks in this bucket, all of them, would have. */
function policyFor(store: Store, found: readonly LifecycleRule[]): { Rules: readonly LifecycleRule[] } {
  const rules = [...found];
  for (const { prefix, options } of matesOf(store)) {
    const uploads = rules.some((rule) => endsUploads(rule, prefix)) ? [] : [uploadsRule(prefix)];
    for (const rule of [...uploads, classRule(options)])
      if (rule && !rules.some(({ ID }) => ID === rule.ID)) rules.push(rule);
  }
  return { Rules: rules };
}

function uploadsRule(prefix: string): LifecycleRule {
  return {
    ID: `pgsilo-unfinished-uploads${prefix === '' ? '' : `-${prefix.replaceAll('/', '-')}`}`,
    Status: 'Enabled',
    Filter: { Prefix: prefix },
    AbortIncompleteMultipartUpload: { DaysAfterInitiation: days },
  };
}
