import { definePlugin } from '@pgsilo/plugin';
import type { SourceDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: SourceDefinition<typeof options> = definePlugin({
  kind: 'source',
  name: 'newcomer',
  summary: 'To be written: one line that says how the tenants of this source live.',
  options,
  // What shares one snapshot: a unit alone, all units of a job, or the whole cluster.
  traits: { consistency: 'unit', pointInTime: false },
  create: async (chosen, setup) => (await import('./source.ts')).createNewcomerSource(chosen, setup),
});

export default plugin;
