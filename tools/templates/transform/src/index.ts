import { definePlugin } from '@pgsilo/plugin';
import type { TransformDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: TransformDefinition<typeof options> = definePlugin({
  kind: 'transform',
  name: 'newcomer',
  summary: 'To be written: one line that says what this transform does to the bytes.',
  options,
  // `compression` or `encryption`.
  traits: { purpose: 'compression' },
  create: async (chosen, setup) => (await import('./transform.ts')).createNewcomerTransform(chosen, setup),
});

export default plugin;
