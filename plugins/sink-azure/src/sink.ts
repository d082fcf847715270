import type { Sink } from '@pgsilo/plugin';
import { planBlocks } from './block-plan.ts';
import { check } from './check.ts';
import type { Options } from './options.ts';
import { list, read, stat } from './read.ts';
import { createRemove } from './remove.ts';
import { openStore } from './store.ts';
import { upload } from './upload.ts';

export async function createAzureSink(options: Options): Promise<Sink> {
  const store = await openStore(options);
  const remove = createRemove(store);
  const sink: Sink = {
    put(key, body, hint, context) {
      const plan = planBlocks(options.blockSize, hint.estimatedBytes ?? 0, context.memory);
      return upload(store.blob(key), key, body, plan, store.tell(context));
    },
    get: (key, range, context) => read(store, key, range, store.tell(context)),
    stat: (key, context) => stat(store, key, store.tell(context)),
    list: (prefix, context) => list(store, prefix, store.tell(context)),
    remove: (keys, context) => remove(keys, store.tell(context)),
    place: () => Promise.resolve(`${store.service.url} ${options.container}/${store.prefix}`),
    check: (context) => check(sink, store, context),
    async close() {
      store.close();
    },
  };
  return sink;
}
