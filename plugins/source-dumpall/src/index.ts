import { definePlugin, type SourceDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: SourceDefinition<typeof options> = definePlugin({
  kind: 'source',
  name: 'dumpall',
  summary: 'A whole server as one unit, by pg_dumpall: roles, tablespaces and all databases, as plain SQL.',
  options,
  traits: { consistency: 'unit', pointInTime: false, parts: ['database', 'roles'] },
  create: async (values, setup) => (await import('./source.ts')).createSource(values, setup),
});

export default plugin;
