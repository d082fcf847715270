import { definePlugin } from '@pgsilo/plugin';
import type { SinkDefinition } from '@pgsilo/plugin';
import { mostBlocks, largestBlock } from './block-plan.ts';
import { options } from './options.ts';

const plugin: SinkDefinition<typeof options> = definePlugin({
  kind: 'sink',
  name: 'azure',
  summary: 'Keeps backups in a container of Azure Blob Storage.',
  options,
  traits: {
    createOnly: 'native',
    ranges: true,
    objectLock: false,
    largestObject: mostBlocks * largestBlock,
    parts: true,
  },
  create: async (chosen) => (await import('./sink.ts')).createAzureSink(chosen),
});

export default plugin;
