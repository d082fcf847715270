import type { Setup, Sink } from '@pgsilo/plugin';
import { check } from './check.ts';
import { planChunks } from './chunk-plan.ts';
import type { Options } from './options.ts';
import { list, read, stat } from './read.ts';
import { createRemove } from './remove.ts';
import { Store } from './store.ts';
import { upload } from './upload.ts';
import { warningOf } from './warnings.ts';

/** @param silence milliseconds after which a service that says nothing is given up, where a test cannot wait for the usual minute. */
export function createGcsSink(options: Options, setup: Setup, silence?: number): Sink {
  const warning = warningOf(options, setup.keptDays);
  if (warning) setup.log.warn(warning, { sink: 'gcs', option: 'storageClass' });
  const store = new Store(options, setup.folder, silence);
  const sink: Sink = {
    put(key, body, hint, context) {
      const plan = planChunks(options.chunkSize, context.memory);
      return upload(store, key, body, hint, plan, context);
    },
    get: (key, range, context) => read(store, key, range, context),
    stat: (key, context) => stat(store, key, context),
    list: (prefix, context) => list(store, prefix, context),
    remove: createRemove(store),
    place: () =>
      Promise.resolve(
        `${options.apiEndpoint ?? 'gcs'} ${options.bucket}/${options.prefix.replace(/\/$/, '')}`,
      ),
    check: (context) => check(sink, context),
    async close() {
      store.close();
    },
  };
  return sink;
}
