import { definePlugin } from '@pgsilo/plugin';
import type { SinkDefinition } from '@pgsilo/plugin';
import { options } from './options.ts';

const plugin: SinkDefinition<typeof options> = definePlugin({
  kind: 'sink',
  name: 'newcomer',
  summary: 'To be written: one line that says what this sink is for.',
  options,
  // What the store can do. The conformance suite reads it.
  traits: {
    createOnly: 'native',
    ranges: true,
    objectLock: false,
    largestObject: Number.MAX_SAFE_INTEGER,
    parts: false,
  },
  // A large SDK is imported by sink.ts, and sink.ts here: reading a pipeline file stays fast.
  create: async (chosen, setup) => (await import('./sink.ts')).createNewcomerSink(chosen, setup),
});

export default plugin;
