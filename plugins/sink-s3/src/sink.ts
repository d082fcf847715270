import type { Setup, Sink } from '@pgsilo/plugin';
import { joinBucket } from './bucket-mates.ts';
import { check } from './check.ts';
import { mustAgree } from './contradictions.ts';
import type { Options } from './options.ts';
import { planParts } from './part-plan.ts';
import { list, read, stat } from './read.ts';
import { createRemove } from './remove.ts';
import { openStore } from './store.ts';
import type { Patience } from './store.ts';
import { sweep } from './unfinished.ts';
import { upload } from './upload.ts';
import { warningsOf } from './warnings.ts';

export function createS3Sink(options: Options, setup: Setup, patience?: Patience): Sink {
  mustAgree(options);
  for (const { message, option } of warningsOf(options, setup.keptDays))
    setup.log.warn(message, { sink: 's3', option });
  const store = openStore(options, patience);
  const leave = joinBucket(store);
  const remove = createRemove(store);
  const sink: Sink = {
    put(key, body, hint, context) {
      const plan = planParts(store.parts, hint.estimatedBytes ?? 0, context.memory);
      return upload(store, key, body, hint, plan, store.tell(context));
    },
    get: (key, range, context) => read(store, key, range, store.tell(context)),
    stat: (key, context) => stat(store, key, store.tell(context)),
    list: (prefix, context) => list(store, prefix, store.tell(context)),
    remove: (keys, context) => remove(keys, store.tell(context)),
    place: () => Promise.resolve(`${options.endpoint ?? 'aws'} ${store.bucket}/${store.prefix}`),
    check: (context) => check(sink, store, setup.keptDays, context),
    sweep: (prefix, before, context) => sweep(store, prefix, before, store.tell(context)),
    async close() {
      leave();
      store.close();
    },
  };
  return sink;
}
