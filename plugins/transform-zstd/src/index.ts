import { definePlugin } from '@pgsilo/plugin';
import type { TransformDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: TransformDefinition<typeof options> = definePlugin({
  kind: 'transform',
  name: 'zstd',
  summary: 'Compresses with Zstandard on all processors; any zstd reads the result.',
  options,
  traits: { purpose: 'compression' },
  create: async (chosen) => (await import('./transform.ts')).createZstdTransform(chosen),
});

export default plugin;
