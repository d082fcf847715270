import { definePlugin } from '@pgsilo/plugin';
import type { SinkDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';
import { largestPart, mostParts } from './part-limits.ts';

const plugin: SinkDefinition<typeof options> = definePlugin({
  kind: 'sink',
  name: 's3',
  summary: 'Keeps backups in a bucket of Amazon S3, or of a store that speaks its protocol.',
  options,
  traits: {
    createOnly: 'native',
    ranges: true,
    objectLock: true,
    largestObject: mostParts * largestPart,
    parts: true,
  },
  create: async (chosen, setup) => (await import('./sink.ts')).createS3Sink(chosen, setup),
});

export default plugin;
