import { definePlugin } from '@pgsilo/plugin';
import type { SinkDefinition } from '@pgsilo/plugin';
import { largestObject } from './chunk-plan.ts';
import { options } from './options.ts';

const plugin: SinkDefinition<typeof options> = definePlugin({
  kind: 'sink',
  name: 'gcs',
  summary: 'Keeps backups in a bucket of Google Cloud Storage.',
  options,
  traits: {
    createOnly: 'native',
    ranges: true,
    objectLock: false,
    largestObject,
    parts: true,
  },
  create: async (chosen, setup) => (await import('./sink.ts')).createGcsSink(chosen, setup),
});

export default plugin;
