import { definePlugin, type SourceDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: SourceDefinition<typeof options> = definePlugin({
  kind: 'source',
  name: 'schema-per-tenant',
  summary:
    'A schema for each tenant, listed in a registry, by patterns or by name; all of them from one pass over the database, at one moment.',
  options,
  traits: { consistency: 'job', pointInTime: false, parts: ['schema', 'rows'] },
  create: async (values, setup) => (await import('./source.ts')).createSchemaSource(values, setup),
});

export default plugin;
