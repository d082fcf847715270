import { definePlugin } from '@pgsilo/plugin';
import type { SinkDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: SinkDefinition<typeof options> = definePlugin({
  kind: 'sink',
  name: 'local',
  summary: 'Keeps backups in a folder of this machine or of a mounted file system.',
  options,
  traits: {
    createOnly: 'native',
    ranges: true,
    objectLock: false,
    largestObject: Number.MAX_SAFE_INTEGER,
    parts: false,
  },
  create: async (chosen, setup) => (await import('./sink.ts')).createLocalSink(chosen, setup),
});

export default plugin;
