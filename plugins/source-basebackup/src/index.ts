import { definePlugin, type SourceDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: SourceDefinition<typeof options> = definePlugin({
  kind: 'source',
  name: 'basebackup',
  summary:
    'A whole server as one unit, by base backup over the replication protocol: its files, cut into one artifact for each database.',
  options,
  traits: { consistency: 'cluster', pointInTime: true, parts: ['folder', 'start', 'database', 'dump'] },
  create: async (values, setup) => (await import('./source.ts')).createSource(values, setup),
});

export default plugin;
