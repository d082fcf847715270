import { definePlugin } from '@pgsilo/plugin';
import type { TransformDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: TransformDefinition<typeof options> = definePlugin({
  kind: 'transform',
  name: 'gzip',
  summary: 'Compresses with gzip on all processors; any gzip reads the result.',
  options,
  traits: { purpose: 'compression' },
  create: async (chosen) => (await import('./transform.ts')).createGzipTransform(chosen),
});

export default plugin;
