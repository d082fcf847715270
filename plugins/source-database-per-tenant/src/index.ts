import { definePlugin, type SourceDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: SourceDefinition<typeof options> = definePlugin({
  kind: 'source',
  name: 'database-per-tenant',
  summary:
    'A database for each tenant, listed in a registry, by patterns or by name; roles and the registry included.',
  options,
  traits: { consistency: 'unit', pointInTime: false, parts: ['rows'] },
  create: async (values, setup) => (await import('./source.ts')).createSource(values, setup),
});

export default plugin;
