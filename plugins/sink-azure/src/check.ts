import { throwIfAborted, tryOutSink } from '@pgsilo/plugin';
import type { CheckResult, Context, Sink } from '@pgsilo/plugin';
import { attempt } from './errors.ts';
import type { Store } from './store.ts';

export async function* check(sink: Sink, store: Store, context: Context): AsyncGenerator<CheckResult> {
  let retained = false;
  const watched: Sink = {
    ...sink,
    async remove(...parameters) {
      const kept = await sink.remove(...parameters);
      retained ||= kept.length > 0;
      return kept;
    },
  };
  yield await tryOutSink(watched, context);
  if (retained)
    yield {
      name: 'removal',
      status: 'warning',
      message:
        'the account keeps what is removed, as versions or under a policy, so that it goes on taking space',
      hint: 'Add a rule to its lifecycle management that ends it after some days, or give the right to delete versions.',
    };
  if (await hasFolders(store, context))
    yield {
      name: 'hierarchical namespace',
      status: 'warning',
      message:
        'the account has a hierarchical namespace, with which this sink was not tested: folders are listed as objects',
      hint: 'Use an account without it.',
    };
}

/** False, too, where the credentials may not ask. */
async function hasFolders({ service }: Store, context: Context): Promise<boolean> {
  const asked = attempt('ask for the kind of account', context, () =>
    service.getAccountInfo({ abortSignal: context.signal }),
  );
  try {
    return (await asked).isHierarchicalNamespaceEnabled === true;
  } catch {
    throwIfAborted(context.signal);
    return false;
  }
}
