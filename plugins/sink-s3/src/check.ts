import { throwIfAborted, toPgsiloError, tryOutSink } from '@pgsilo/plugin';
import type { CheckResult, Context, RetainedObject, Sink } from '@pgsilo/plugin';
import { checkLock } from './check-lock.ts';
import { tellClassRule } from './class-rule.ts';
import { refusesCompletion } from './check-create-only.ts';
import { checkLifecycle } from './lifecycle.ts';
import type { Store } from './store.ts';
import { unfinishedUploads } from './unfinished.ts';

const day = 86_400_000;
/** A run may take long, and no upload this long. */
const abandoned = 7 * day;

/** @param keptDays how long the pipeline's retention keeps a backup; undefined: unknown. */
export async function* check(
  sink: Sink,
  store: Store,
  keptDays: number | undefined,
  context: Context,
): AsyncGenerator<CheckResult> {
  const retained: RetainedObject[] = [];
  let createOnly: CheckResult | undefined;
  const watched: Sink = {
    ...sink,
    async put(key, body, hint, own) {
      const content: Uint8Array[] = [];
      for await (const chunk of body) content.push(chunk);
      const result = await sink.put(key, once(content), hint, own);
      // While the object is there, so that no other one is needed: under a lock each would stay.
      createOnly = await refusesCompletion(store, key, Buffer.concat(content), own);
      return result;
    },
    async remove(...parameters) {
      const kept = await sink.remove(...parameters);
      retained.push(...kept);
      return kept;
    },
  };
  const access = await tryOutSink(watched, context);
  yield access;
  if (access.status === 'failed') return;
  if (createOnly) yield createOnly;
  for (const object of retained) yield keptBack(object);
  const lock = await checkLock(store, keptDays, context);
  if (lock) yield lock;
  yield await checkUnfinished(store, context);
  yield await checkLifecycle(store, context);
  yield* tellClassRule(store.options);
}

function keptBack({ key, until }: RetainedObject): CheckResult {
  const name = 'removal';
  if (until)
    return {
      name,
      status: 'ok',
      message: `${key}, which this check has written, is retained until ${until.toISOString()}`,
    };
  return {
    name,
    status: 'warning',
    message: `the bucket keeps versions of what is removed, of ${key} too, so that it goes on taking space`,
    hint: 'Add a lifecycle rule that ends noncurrent versions after some days, or give the right s3:DeleteObjectVersion.',
  };
}

async function checkUnfinished(store: Store, context: Context): Promise<CheckResult> {
  const name = 'unfinished uploads';
  let count = 0;
  let old = 0;
  let oldest: Date | undefined;
  const now = context.clock.now().getTime();
  try {
    for await (const { begun } of unfinishedUploads(store, '', context)) {
      count += 1;
      if (now - begun.getTime() > abandoned) old += 1;
      if (oldest === undefined || begun < oldest) oldest = begun;
    }
  } catch (error) {
    throwIfAborted(context.signal);
    const { message, hint } = toPgsiloError(error, 'sink.failed');
    // Backups need no such right.
    return { name, status: 'warning', message, ...(hint === undefined ? {} : { hint }) };
  }
  if (oldest === undefined) return { name, status: 'ok', message: 'there are none' };
  const message = `${count}, the oldest of ${oldest.toISOString()}`;
  if (old === 0) return { name, status: 'ok', message };
  return {
    name,
    status: 'warning',
    message: `${message}; ${old} of more than 7 days, which nobody finishes`,
    hint: '`pgsilo prune` ends them.',
  };
}

async function* once(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
